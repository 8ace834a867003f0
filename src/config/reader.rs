//! Reads files line by line, with includes, into sections. Each message about a line names the file and the line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::glob::{self, GlobError};
use super::hint;
use super::ini::{Names, Statement, parse_line};
use super::late::{LateValue, Recorder};
use super::message::{Messages, Refused, shown};
use super::origins::Origins;
use super::paths::Prefixes;
use super::raw::Raw;
use crate::log;
use crate::log::messages::config as messages;
use crate::log::messages::config_values::{Hint, StatementError};
use crate::sys::failure::reason;

/// How many files may be read inside one another. The main file is one of them, so there are four levels of includes.
const MAX_NESTING: u32 = 5;

/// Reads a configuration file and all that it includes.
pub(super) struct Reader<'a> {
    pub(super) raw: &'a mut Raw,
    pub(super) messages: &'a mut Messages,
    pub(super) origins: &'a mut Origins,
    pub(super) names: &'a dyn Names,
    pub(super) prefixes: &'a Prefixes,
    nesting: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        raw: &'a mut Raw,
        messages: &'a mut Messages,
        origins: &'a mut Origins,
        names: &'a dyn Names,
        prefixes: &'a Prefixes,
    ) -> Self {
        Self { raw, messages, origins, names, prefixes, nesting: 0 }
    }

    /// Reads one file.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), Refused> {
        let text = read(path, self.messages)?;
        self.text(path, &text)
    }

    /// Reads the text of a file.
    pub(super) fn text(&mut self, path: &Path, text: &[u8]) -> Result<(), Refused> {
        if self.nesting >= MAX_NESTING {
            self.messages.log(messages::includes_too_deep());
            return Err(Refused);
        }
        self.nesting += 1;
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            if !line.is_empty() {
                self.line(path, number, line)?;
            }
        }
        self.nesting -= 1;
        Ok(())
    }

    fn line(&mut self, path: &Path, number: u32, text: &[u8]) -> Result<(), Refused> {
        let names = Recorder::new(self.names);
        let whole = [text, b"\n"].concat();
        let line = parse_line(&whole, &names);
        let mut late = names.late(&whole).filter(|_| line.statements.len() == 1);
        let place = format!("[{}:{number}]", shown(path));
        let mut include = None;
        let mut refused = None;
        for statement in line.statements {
            self.remember(&statement, &place);
            if let Err(mistake) = self.apply(statement, &mut include, late.take(), text) {
                mistake.errors.iter().for_each(|error| self.messages.log(messages::line_refused(&place, error)));
                refused = Some(mistake.hint);
                break;
            }
        }
        if let Some(error) = line.error {
            self.messages.stderr(format!("PHP:  {error}"));
            refused = Some(Some(hint::for_syntax(text)));
        }
        if let Some(hint) = refused {
            hint.iter().for_each(|hint| self.messages.hint(log::Level::Error, &place, hint));
            return Err(Refused);
        }
        include.map_or(Ok(()), |pattern| self.include(&pattern, path, number))
    }

    /// Keeps where it is, for messages about the rules of its section.
    fn remember(&mut self, statement: &Statement, place: &str) {
        match statement {
            Statement::Section(name) => self.origins.section(&String::from_utf8_lossy(name), place),
            Statement::Entry { name, .. } => self.origins.entry(&String::from_utf8_lossy(name), place),
            Statement::Array { .. } => {}
        }
    }

    pub(super) fn apply(
        &mut self,
        statement: Statement,
        include: &mut Option<String>,
        late: Option<LateValue>,
        line: &[u8],
    ) -> Result<(), Mistake> {
        match statement {
            Statement::Section(name) => self.raw.enter(&utf8(name, "section")?),
            Statement::Entry { value: None, .. } => {
                return Err(Mistake::new(StatementError::NoValue, Some(hint::for_missing_value(line))));
            }
            Statement::Entry { name, value: Some(value) } => {
                let name = String::from_utf8_lossy(&name);
                let value = utf8(value, &name)?;
                if name != "include" {
                    let entered = self.raw.entry(&name, &value);
                    let in_pool = self.raw.in_pool();
                    return entered.map_err(|error| Mistake::new(error, hint::for_entry(&name, in_pool)));
                }
                if include.is_some() {
                    return Err(Mistake::new(StatementError::TwoIncludes, None));
                }
                *include = Some(value);
            }
            Statement::Array { name, key, value } => {
                let name = String::from_utf8_lossy(&name);
                let (key, value) = (utf8(key, &name)?, utf8(value, &name)?);
                let entered = self.raw.array(&name, &key, &value, late);
                let in_pool = self.raw.in_pool();
                return entered.map_err(|errors| Mistake { errors, hint: hint::for_list(&name, in_pool) });
            }
        }
        Ok(())
    }

    fn include(&mut self, pattern: &str, path: &Path, number: u32) -> Result<(), Refused> {
        let pattern = self.prefixes.global_path(pattern);
        let by = shown(path);
        match glob::files(&pattern) {
            Ok(files) => {
                for file in files {
                    if self.file(&file).is_err() {
                        self.messages.log(messages::file_not_included(shown(&file), &by, number));
                        return Err(Refused);
                    }
                }
                Ok(())
            }
            Err(GlobError::NoMatch) => {
                self.messages.log(messages::nothing_to_include(&pattern, &by, number));
                Ok(())
            }
            Err(GlobError::Aborted) => {
                self.messages.log(messages::include_unreadable(&pattern, &by, number));
                Err(Refused)
            }
        }
    }
}

/// The error in a statement.
pub(super) struct Mistake {
    errors: Vec<StatementError>,
    hint: Option<Hint>,
}

impl Mistake {
    fn new(error: StatementError, hint: Option<Hint>) -> Self {
        Self { errors: vec![error], hint }
    }
}

/// The bytes of a file.
pub(super) fn read(path: &Path, messages: &mut Messages) -> Result<Vec<u8>, Refused> {
    bytes_of(path).map_err(|error| {
        messages.log(messages::file_not_opened(shown(path), reason(&error)));
        Refused
    })
}

/// A directory can be opened but not read; for php-fpm it is an empty file.
fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut file = File::open(path)?;
    if file.metadata().is_ok_and(|meta| !meta.is_dir()) {
        file.read_to_end(&mut text)?;
    }
    Ok(text)
}

fn utf8(text: Vec<u8>, name: &str) -> Result<String, Mistake> {
    String::from_utf8(text).map_err(|_| Mistake::new(StatementError::NotUtf8 { name: name.to_owned() }, None))
}
