//! The statements of an ini file.

/// Where `${NAME}` and bare constants get their values from.
pub(crate) trait Names {
    /// The value of `${name}`.
    fn variable(&self, name: &str) -> Option<Vec<u8>>;
    /// The value of a PHP constant.
    fn constant(&self, name: &str) -> Option<String>;
}

/// Knows no name.
pub(crate) struct NoNames;

impl Names for NoNames {
    fn variable(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }

    fn constant(&self, _name: &str) -> Option<String> {
        None
    }
}

/// A statement. Text ends at its first NUL byte, as in php-fpm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    /// `[name]`
    Section(Vec<u8>),
    /// `name = value`; without `=` there is no value.
    Entry { name: Vec<u8>, value: Option<Vec<u8>> },
    /// `name[key] = value`
    Array { name: Vec<u8>, key: Vec<u8>, value: Vec<u8> },
}

/// A syntax error. Nothing after it was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} in Unknown on line {line}")]
pub(crate) struct SyntaxError {
    /// Zend's text.
    pub(crate) what: String,
    /// In the text that was given, from 1.
    pub(crate) line: u32,
}

/// The statements of a line, up to the error if there is one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) statements: Vec<Statement>,
    pub(crate) error: Option<SyntaxError>,
}
