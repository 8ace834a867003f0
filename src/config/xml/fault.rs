//! What is wrong with a file, where, and what would be right.

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

    /// What would be right.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
