//! An error in a file, its line, and a correction.

/// The file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: u32,
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(line: u32, text: impl Into<String>) -> Self {
        Self { line, text: text.into(), hint: None }
    }

    /// A correction.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
