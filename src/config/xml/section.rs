//! One `<section>`: its values read by the schema, with the line of each.

use std::collections::BTreeMap;

use super::super::hint;
use super::super::paths::Prefixes;
use super::element::{Element, Node};
use super::fault::Fault;
use super::schema::{Setting, Shape};
use super::values::{self, Kind};
use crate::log::messages::config_xml::XmlError;

/// A value and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) text: String,
    /// The number, where it is an integer or a time (in seconds).
    pub(super) number: Option<i32>,
    pub(super) line: u32,
}

/// A value of `php_defines` or `environment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) directive: &'static str,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: u32,
}

/// The settings of a section. If one is set twice, the last one counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// By the names of today's directives.
    pub(super) values: BTreeMap<&'static str, Given>,
    /// In the order of the file.
    pub(super) pairs: Vec<Pair>,
    /// What is odd but not wrong.
    pub(super) remarks: Vec<Fault>,
}

impl Section {
    /// Adds what the section's element says.
    pub(super) fn read(
        &mut self,
        element: &Element,
        settings: &'static [Setting],
        prefixes: &Prefixes,
    ) -> Result<(), Fault> {
        for value in self.values_in(element)? {
            let name = value.name.as_deref().unwrap_or_default();
            let Some(setting) = settings.iter().find(|setting| setting.name == name) else {
                self.unknown(value, element, settings);
                continue;
            };
            match setting.shape {
                _ if value.nodes.is_empty() => {}
                Shape::Scalar(kind, directive) => self.scalar(value, kind, directive, prefixes)?,
                Shape::Pairs(directive) => self.pairs_in(value, directive, prefixes)?,
                Shape::Group(settings) => self.read(value, settings, prefixes)?,
            }
        }
        Ok(())
    }

    /// The text of a value, if it has one.
    pub(super) fn text(&self, directive: &str) -> Option<&str> {
        self.values.get(directive).map(|given| given.text.as_str())
    }

    /// A value as a number, if it is set and is one.
    pub(super) fn number(&self, directive: &str) -> Option<i32> {
        self.values.get(directive).and_then(|given| given.number)
    }

    /// The line of a value, or the one given.
    pub(super) fn line(&self, directive: &str, otherwise: u32) -> u32 {
        self.values.get(directive).map_or(otherwise, |given| given.line)
    }

    fn remark(&mut self, fault: Fault) {
        self.remarks.push(fault);
    }

    /// The `<value>`s in an element. Other elements in it are remarked, or an error.
    fn values_in<'a>(&mut self, element: &'a Element) -> Result<Vec<&'a Element>, Fault> {
        let mut values = Vec::new();
        for child in element.elements() {
            match (child.tag.as_str(), &child.name) {
                ("value", Some(_)) => values.push(child),
                ("value", None) => {
                    self.remark(Fault::new(child.line, XmlError::NamelessValue).hint("write <value name=\"…\">"))
                }
                ("section" | "workers" | "configuration", _) => {
                    let error = XmlError::Nested { inner: child.shown(), outer: element.shown() };
                    let hint = format!("close {} of line {} before it", element.shown(), element.line);
                    return Err(Fault::new(child.line, error).hint(hint));
                }
                _ => self.remark(Fault::new(child.line, XmlError::UnknownElement { tag: child.tag.clone() })),
            }
        }
        let worded = |node: &Node| matches!(node, Node::Text(text) if !text.trim().is_empty());
        if element.tag == "value" && values.is_empty() && element.nodes.iter().any(worded) {
            let error = XmlError::TextIgnored { element: element.shown() };
            self.remark(
                Fault::new(element.line, error).hint("it takes values of its own: <value name=\"…\">…</value>"),
            );
        }
        Ok(values)
    }

    fn unknown(&mut self, value: &Element, within: &Element, settings: &'static [Setting]) {
        let name = value.name.as_deref().unwrap_or_default();
        let place = within.name.as_deref().unwrap_or(&within.tag);
        let mut fault =
            Fault::new(value.line, XmlError::UnknownSetting { name: name.to_owned(), section: place.to_owned() });
        fault.hint = hint::nearest(name, settings.iter().map(|setting| setting.name))
            .map(|known| format!("did you mean {known}?"));
        self.remark(fault);
    }

    fn scalar(
        &mut self,
        value: &Element,
        kind: Kind,
        directive: &'static str,
        prefixes: &Prefixes,
    ) -> Result<(), Fault> {
        let Some(text) = text_of(value)? else { return Ok(()) };
        let read = values::read(kind, text, prefixes);
        let setting = value.name.clone().unwrap_or_default();
        let read = read.map_err(|wrong| {
            Fault::new(value.line, XmlError::Value { setting: setting.clone(), reason: wrong.error }).hint(wrong.hint)
        })?;
        if let (Some(text), Some(number)) = (read.odd, read.number) {
            self.remark(Fault::new(value.line, XmlError::ReadAs { setting, text, number }));
        }
        self.values.insert(directive, Given { text: read.text, number: read.number, line: value.line });
        Ok(())
    }

    fn pairs_in(&mut self, group: &Element, directive: &'static str, prefixes: &Prefixes) -> Result<(), Fault> {
        for value in self.values_in(group)? {
            let Some(text) = text_of(value)? else { continue };
            let key = value.name.clone().unwrap_or_default();
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
                return Err(
                    Fault::new(value.line, XmlError::KeyName { key }).hint("names have letters, digits, _, - and dots")
                );
            }
            let read = values::read(Kind::Text, text, prefixes).map_err(|wrong| {
                Fault::new(value.line, XmlError::Value { setting: key.clone(), reason: wrong.error }).hint(wrong.hint)
            })?;
            self.pairs.push(Pair { directive, key, value: read.text, line: value.line });
        }
        Ok(())
    }
}

/// The text of a value. No text, or blanks alone, mean that it is not set.
fn text_of(value: &Element) -> Result<Option<&str>, Fault> {
    match value.nodes.as_slice() {
        [] => Ok(None),
        [Node::Text(text)] => Ok(Some(text.as_str()).filter(|text| !text.trim().is_empty())),
        nodes => {
            let inner = nodes.iter().find_map(|node| match node {
                Node::Element(inner) => Some(inner),
                _ => None,
            });
            Err(match inner {
                Some(inner) => {
                    let error = XmlError::Nested { inner: inner.shown(), outer: value.shown() };
                    Fault::new(inner.line, error).hint(format!("</value> is missing on line {}", value.line))
                }
                None => Fault::new(value.line, XmlError::NotText { element: value.shown() })
                    .hint("a value is text, without comments and CDATA sections; < and & are written &lt; and &amp;"),
            })
        }
    }
}
