//! Files to statements: line by line, with includes, and with file and line in each complaint.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::glob::{self, GlobError};
use super::ini::{Names, Statement, parse_line};
use super::message::{Messages, Refused, shown};
use super::model::LogLevel;
use super::paths::Prefixes;
use super::raw::Raw;

/// Files that may be open within one another.
const MAX_NESTING: u32 = 5;

/// Reads a configuration file and all that it includes.
pub(super) struct Reader<'a> {
    pub(super) raw: &'a mut Raw,
    pub(super) messages: &'a mut Messages,
    pub(super) names: &'a dyn Names,
    pub(super) prefixes: &'a Prefixes,
    nesting: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        raw: &'a mut Raw,
        messages: &'a mut Messages,
        names: &'a dyn Names,
        prefixes: &'a Prefixes,
    ) -> Self {
        Self { raw, messages, names, prefixes, nesting: 0 }
    }

    /// Reads one file.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), Refused> {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("failed to open configuration file '{}'", shown(path));
                self.messages.system_error(&what, &error);
                return Err(Refused);
            }
        };
        if self.nesting >= MAX_NESTING {
            self.error("failed to include more than 5 files recursively".to_owned());
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

    fn error(&mut self, text: String) {
        self.messages.log(LogLevel::Error, text);
    }

    fn line(&mut self, path: &Path, number: u32, text: &[u8]) -> Result<(), Refused> {
        let line = parse_line(&[text, b"\n"].concat(), self.names);
        let mut include = None;
        let mut outcome = Ok(());
        for statement in line.statements {
            if let Err(complaints) = self.apply(statement, &mut include) {
                for complaint in complaints {
                    self.error(format!("[{}:{number}] {complaint}", shown(path)));
                }
                outcome = Err(Refused);
                break;
            }
        }
        if let Some(error) = line.error {
            self.messages.stderr(format!("PHP:  {}", error.0));
            outcome = Err(Refused);
        }
        outcome?;
        include.map_or(Ok(()), |pattern| self.include(&pattern, path, number))
    }

    fn apply(&mut self, statement: Statement, include: &mut Option<String>) -> Result<(), Vec<String>> {
        let one = |complaint: String| vec![complaint];
        match statement {
            Statement::Section(name) => self.raw.enter(&utf8(name, "section").map_err(one)?),
            Statement::Entry { value: None, .. } => {
                return Err(one("value is NULL for a ZEND_INI_PARSER_ENTRY".to_owned()));
            }
            Statement::Entry { name, value: Some(value) } => {
                let name = String::from_utf8_lossy(&name);
                let value = utf8(value, &name).map_err(one)?;
                if name != "include" {
                    return self.raw.entry(&name, &value).map_err(one);
                }
                if include.is_some() {
                    return Err(one("two includes at the same time !".to_owned()));
                }
                *include = Some(value);
            }
            Statement::Array { name, key, value } => {
                let name = String::from_utf8_lossy(&name);
                let (key, value) = (utf8(key, &name).map_err(one)?, utf8(value, &name).map_err(one)?);
                return self.raw.array(&name, &key, &value);
            }
        }
        Ok(())
    }

    fn include(&mut self, pattern: &str, path: &Path, number: u32) -> Result<(), Refused> {
        let pattern = self.prefixes.global_path(pattern);
        let place = format!("from {} at line {number}", shown(path));
        match glob::files(&pattern) {
            Ok(files) => {
                for file in files {
                    if self.file(&file).is_err() {
                        self.error(format!("Unable to include {} {place}", shown(&file)));
                        return Err(Refused);
                    }
                }
                Ok(())
            }
            Err(GlobError::NoMatch) => {
                let text = format!("Nothing matches the include pattern '{pattern}' {place}.");
                self.messages.log(LogLevel::Warning, text);
                Ok(())
            }
            Err(GlobError::Aborted) => {
                self.error(format!("Unable to globalize '{pattern}' (ret=2) {place}."));
                Err(Refused)
            }
        }
    }
}

/// The bytes of a file; what opens but can't be read, a directory, is empty as for php-fpm.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut file = File::open(path)?;
    if file.metadata().is_ok_and(|meta| !meta.is_dir()) {
        file.read_to_end(&mut text)?;
    }
    Ok(text)
}

fn utf8(text: Vec<u8>, what: &str) -> Result<String, String> {
    String::from_utf8(text).map_err(|_| format!("the value of '{what}' is not valid UTF-8"))
}
