//! The catalogue of messages: each line that an operator can see, with its level, what happened and what to do.
//!
//! A message is a function that returns the line with its values filled in; [`super::say`] logs it. The catalogue also
//! makes `docs/messages.md` (see `page.rs`). Add a message where others of its topic are, then run
//! `CGI_FPM_WRITE_DOCS=1 cargo test --no-default-features --lib messages` to update the page.

mod entry;
mod errors;
#[cfg(test)]
mod page;

pub mod accounts;
pub mod bases;
pub mod config;
pub mod config_pools;
pub mod config_values;
pub mod config_xml;
pub mod control;
pub mod lifecycle;
pub mod logs;
pub mod monitor;
pub mod output;
pub mod php;
pub mod pools;
pub mod programs;
pub mod reload;
pub mod requests;
pub mod sockets;
pub mod terminal;
pub mod worker_setup;
pub mod workers;
pub mod zygotes;

pub use entry::{ByteMessage, Message};

/// Defines messages: one function for each, and a table of all of them for the documentation.
///
/// ```text
/// messages! {
///     /// What happened, and to whom. Shown in docs/messages.md.
///     [Ours Warning] name_of_the_function(pool, reason) = "[pool {pool}] text: {reason}",
///         do "What the operator does about it.";
/// }
/// ```
///
/// - In brackets: whose wording it is (`Ours`; `Fpm`: php-fpm has the same line, it must not change), and the level. A
///   message that is less severe in some cases gets its level at the call: `.at(Level::Debug)`; all its levels are listed
///   here: `[Ours Notice Debug]`.
/// - `log_format = classic` shows the text after `originally` instead, where there is one.
/// - A text that begins with `[pool {pool}]`, `[pool {pool}] child {pid}`, `[group {group}]` or
///   `[group {group}] zygote {pid}` gives these values to the fields of JSON lines.
macro_rules! messages {
    ($(
        $(#[doc = $what:literal])+
        [$origin:ident $level:ident $($other:ident)*] $name:ident ($($arg:ident),* $(,)?) = $text:literal
            $(, originally $original:literal)?
            , do $action:literal;
    )+) => {
        $(
            $(#[doc = $what])+
            #[must_use]
            pub fn $name($($arg: impl std::fmt::Display),*) -> $crate::log::messages::Message {
                let message = $crate::log::messages::Message::new($crate::log::Level::$level, format!($text))
                    $(.originally(format!($original)))?;
                message $(.about($text, stringify!($arg), &$arg))*
            }
        )+

        /// All of them, for the documentation.
        #[cfg(test)]
        pub(in crate::log::messages) const TABLE: &[$crate::log::messages::entry::Entry] = &[$(
            $crate::log::messages::entry::entry!(
                stringify!($name),
                $crate::log::messages::entry::Place::Log(&[$crate::log::Level::$level $(, $crate::log::Level::$other)*]),
                $origin $text [$($what),+] $action
            )
        ),+];
    };
}
pub(crate) use messages;

/// Defines messages whose values are bytes of scripts or clients, which need not be UTF-8: paths, names, texts of PHP.
macro_rules! byte_messages {
    ($(
        $(#[doc = $what:literal])+
        [$origin:ident $level:ident] $name:ident ($($arg:ident),* $(,)?) = $text:literal
            , do $action:literal;
    )+) => {
        $(
            $(#[doc = $what])+
            #[must_use]
            pub fn $name($($arg: &[u8]),*) -> $crate::log::messages::ByteMessage {
                $crate::log::messages::ByteMessage::new(
                    $crate::log::Level::$level,
                    $text,
                    &[$((stringify!($arg), $arg)),*],
                )
            }
        )+

        /// All of them, for the documentation.
        #[cfg(test)]
        pub(in crate::log::messages) const BYTES: &[$crate::log::messages::entry::Entry] = &[$(
            $crate::log::messages::entry::entry!(
                stringify!($name),
                $crate::log::messages::entry::Place::Log(&[$crate::log::Level::$level]),
                $origin $text [$($what),+] $action
            )
        ),+];
    };
}
pub(crate) use byte_messages;

/// Defines texts that don't go to the log: `[Ours Stderr] name(values) = "text", do "…";`, and the like for `Stdout`.
macro_rules! texts {
    ($(
        $(#[doc = $what:literal])+
        [$origin:ident $stream:ident] $name:ident ($($arg:ident),* $(,)?) = $text:literal
            , do $action:literal;
    )+) => {
        $(
            $(#[doc = $what])+
            #[must_use]
            pub fn $name($($arg: impl std::fmt::Display),*) -> String {
                format!($text)
            }
        )+

        /// All of them, for the documentation.
        #[cfg(test)]
        pub(in crate::log::messages) const TEXTS: &[$crate::log::messages::entry::Entry] = &[$(
            $crate::log::messages::entry::entry!(
                stringify!($name),
                $crate::log::messages::entry::Place::$stream,
                $origin $text [$($what),+] $action
            )
        ),+];
    };
}
pub(crate) use texts;
