//! The XML php-fpm.conf of the original patch (php-fpm 0.5 and 0.6). It is converted to the statements of the ini file with the
//! same meaning, so that one set of rules holds for both.

mod convert;
mod element;
mod fault;
mod mapping;
#[cfg(any(test, feature = "oracles"))]
mod oracle;
mod pool;
mod reader;
mod schema;
mod section;
mod statement;
mod values;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::message::{Messages, Refused, shown};
use super::options::LoadOptions;
use super::paths::Prefixes;
use super::raw::Raw;
use crate::log;
use crate::log::messages::config as texts;
use crate::log::messages::config_values::StatementError;
use crate::log::messages::config_xml::XmlError;
use fault::Fault;
use mapping::Mapped;
#[cfg(any(test, feature = "oracles"))]
pub use oracle::check;
use statement::{Line, Statement};

/// Whether a file is XML: its first byte that is not blank is a `<`, with which no ini file starts.
pub(super) fn is_xml(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.trim_ascii_start().first() == Some(&b'<')
}

/// Reads a file's text into the sections.
///
/// # Errors
/// The file is refused; the messages say why.
pub(super) fn load(
    path: &Path,
    text: &[u8],
    options: &LoadOptions,
    raw: &mut Raw,
    messages: &mut Messages,
) -> Result<(), Refused> {
    messages.format = log::Format::Classic;
    let mapped = mapped(text, options).map_err(|fault| refuse(path, &fault, messages))?;
    remarks(path, &mapped.remarks, messages);
    for line in &mapped.lines {
        apply(line, raw).map_err(|fault| refuse(path, &fault, messages))?;
    }
    Ok(())
}

/// The text of the ini file with the same meaning.
///
/// # Errors
/// As for `load`.
pub(super) fn convert(
    path: &Path,
    text: &[u8],
    options: &LoadOptions,
    messages: &mut Messages,
) -> Result<String, Refused> {
    let mapped = mapped(text, options).map_err(|fault| refuse(path, &fault, messages))?;
    remarks(path, &mapped.remarks, messages);
    Ok(convert::ini(&mapped.lines, &shown(path)))
}

fn mapped(text: &[u8], options: &LoadOptions) -> Result<Mapped, Fault> {
    mapping::map(&reader::read(text)?, options, &Prefixes::new(options))
}

/// Adds a statement to the sections, as for an ini file.
fn apply(line: &Line, raw: &mut Raw) -> Result<(), Fault> {
    let fault = |errors: &[StatementError]| {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Fault::new(line.number, XmlError::Statement { reasons: texts.join("; ") })
    };
    match &line.statement {
        Statement::Section(name) => raw.enter(name),
        Statement::Entry(directive, value) => raw.entry(directive, value).map_err(|error| fault(&[error]))?,
        Statement::Pair(directive, key, value) => {
            raw.array(directive, key, value, None).map_err(|errors| fault(&errors))?;
        }
    }
    Ok(())
}

fn refuse(path: &Path, fault: &Fault, messages: &mut Messages) -> Refused {
    say(path, fault, log::Level::Error, messages);
    Refused
}

fn remarks(path: &Path, remarks: &[Fault], messages: &mut Messages) {
    remarks.iter().for_each(|remark| say(path, remark, log::Level::Warning, messages));
}

fn say(path: &Path, fault: &Fault, level: log::Level, messages: &mut Messages) {
    let place = format!("[{}:{}]", shown(path), fault.line);
    let line = if level == log::Level::Error { texts::line_refused } else { texts::line_noted };
    messages.log(line(&place, &fault.error));
    if let Some(hint) = &fault.hint {
        messages.hint(level, &place, hint);
    }
}
