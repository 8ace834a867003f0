//! The statements that an XML file is converted to.

use super::section::Section;
use crate::config::directives::Directive;

/// A statement, and the line of the XML file that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u32,
    pub(super) statement: Statement,
}

/// A statement of an ini file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// `[name]`
    Section(String),
    /// `directive = value`
    Entry(&'static str, String),
    /// `directive[key] = value`
    Pair(&'static str, String, String),
}

impl Line {
    pub(super) fn entry(number: u32, directive: &'static str, value: impl Into<String>) -> Self {
        Self { number, statement: Statement::Entry(directive, value.into()) }
    }

    pub(super) fn section(number: u32, name: impl Into<String>) -> Self {
        Self { number, statement: Statement::Section(name.into()) }
    }
}

/// The values of a section, in the order of today's directives.
pub(super) fn entries(section: &Section, table: &'static [Directive]) -> impl Iterator<Item = Line> {
    table.iter().filter_map(|directive| {
        let given = section.values.get(directive.name)?;
        Some(Line::entry(given.line, directive.name, given.text.clone()))
    })
}
