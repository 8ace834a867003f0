//! Properties of every configuration file. Compiled for the property tests and the fuzz targets only.

use super::ini::{Names, parse_line};
use super::message::Messages;
use super::options::{LoadOptions, PhpNames};
use super::origins::Origins;
use super::paths::Prefixes;
use super::raw::Raw;
use super::reader::Reader;
pub use super::xml::check as check_xml;

/// Whatever the lines are, reading them comes to an end. Includes are left out.
pub fn read_lines(text: &[u8]) {
    lines_into(text, &PhpNames(&LoadOptions::default()), &mut Raw::new());
}

/// Reads all lines of a text into sections.
pub(super) fn lines_into(text: &[u8], names: &dyn Names, raw: &mut Raw) {
    let mut messages = Messages::new();
    let prefixes = Prefixes::new(&LoadOptions::default());
    let mut origins = Origins::default();
    let mut reader = Reader::new(raw, &mut messages, &mut origins, names, &prefixes);
    for line in text.split(|byte| *byte == b'\n') {
        for statement in parse_line(&[line, b"\n"].concat(), names).statements {
            let _ = reader.apply(statement, &mut None, None, line);
        }
    }
}
