//! A mistake in an XML file: its line, what it is, and how to correct it.

use crate::log::messages::config_xml::XmlError;

/// A mistake, or a remark, about a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: u32,
    pub(super) error: XmlError,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(line: u32, error: XmlError) -> Self {
        Self { line, error, hint: None }
    }

    /// Adds how to correct it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
