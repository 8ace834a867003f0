//! Errors whose lines are in the catalogue.

/// Defines an error type: one variant for each failure that an operator can see, with its line, its level and its entry in
/// the documentation.
///
/// ```text
/// errors! {
///     /// Documentation of the type.
///     pub enum PoolError in POOL_ERRORS;
///
///     /// What happened. Shown in docs/messages.md.
///     [Fpm Error] Chdir { pool: String, path: String } = "[pool {pool}] the chdir path '{path}' must start with a '/'",
///         names ["chdir"],
///         do "Write an absolute path.";
/// }
/// ```
///
/// `names` lists the directives that the line is about. `Part` in place of a level: the text is a part of another line.
macro_rules! errors {
    (
        $(#[doc = $about:literal])+
        $(#[derive($($derived:path),+)])?
        pub enum $enum:ident in $table:ident;
        $(
            $(#[doc = $what:literal])+
            [$origin:ident $level:ident] $name:ident $({ $($field:ident: $type:ty),+ $(,)? })? = $text:literal
                $(, names [$($directive:literal),+])?
                , do $action:literal;
        )+
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        $(#[derive($($derived),+)])?
        #[allow(missing_docs, reason = "the text of a variant says what its fields are")]
        pub enum $enum {
            $(
                $(#[doc = $what])+
                #[error($text)]
                $name $({ $($field: $type),+ })?,
            )+
        }

        impl $enum {
            /// The line for the log.
            #[must_use]
            pub fn message(&self) -> $crate::log::messages::Message {
                match self {
                    $(Self::$name $({ $($field),+ })? => {
                        let level = $crate::log::messages::errors::level!($level);
                        let message = $crate::log::messages::Message::new(level, self.to_string());
                        message $($(.about($text, stringify!($field), $field))+)?
                    })+
                }
            }

            /// The directives that the line is about.
            #[must_use]
            pub fn directives(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$name { .. } => &[$($($directive),+)?],)+
                }
            }
        }

        /// All of them, for the documentation.
        #[cfg(test)]
        pub(in crate::log::messages) const $table: &[$crate::log::messages::entry::Entry] = &[$(
            $crate::log::messages::entry::entry!(
                concat!(stringify!($enum), "::", stringify!($name)),
                $crate::log::messages::errors::place!($level),
                $origin $text [$($what),+] $action
            )
        ),+];
    };
}
pub(crate) use errors;

/// The level of a line; a part of a line has that of an error.
macro_rules! level {
    (Part) => {
        $crate::log::Level::Error
    };
    ($level:ident) => {
        $crate::log::Level::$level
    };
}
pub(crate) use level;

/// Where a text is shown, for the documentation.
#[cfg(test)]
macro_rules! place {
    (Part) => {
        $crate::log::messages::entry::Place::Part
    };
    ($level:ident) => {
        $crate::log::messages::entry::Place::Log(&[$crate::log::Level::$level])
    };
}
#[cfg(test)]
pub(crate) use place;
