//! Values with names that only PHP knows once it has started: constants of extensions, most of its own constants, and settings
//! of php.ini.
#![cfg_attr(not(feature = "php"), allow(dead_code, reason = "only a worker with PHP reads it"))]

use std::cell::{Cell, RefCell};

use serde::{Deserialize, Serialize};

use super::ini::{Names, NoNames, Statement, parse_line};

/// Constants whose values differ between PHP versions, and a pool may have another PHP than the supervisor.
const VERSIONED: [&str; 2] = ["E_ALL", "PHP_VERSION"];

/// The line of a setting that a worker reads again, with the names that were known when the file was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateValue {
    line: Vec<u8>,
    variables: Vec<(String, Vec<u8>)>,
    constants: Vec<(String, String)>,
}

impl LateValue {
    /// The value with PHP's names; `None`: it is the same as without them.
    pub(crate) fn value(&self, php: &dyn Names) -> Option<String> {
        let read = |php| {
            let line = parse_line(&self.line, &Known { late: self, php });
            line.statements.into_iter().find_map(|statement| match statement {
                Statement::Array { value, .. } => String::from_utf8(value).ok(),
                _ => None,
            })
        };
        let before = read(&NoNames);
        read(php).filter(|now| before.as_ref() != Some(now))
    }
}

struct Known<'a> {
    late: &'a LateValue,
    php: &'a dyn Names,
}

impl Names for Known<'_> {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        known(&self.late.variables, name).or_else(|| self.php.variable(name))
    }

    fn constant(&self, name: &str) -> Option<String> {
        known(&self.late.constants, name).or_else(|| self.php.constant(name))
    }
}

fn known<T: Clone>(list: &[(String, T)], name: &str) -> Option<T> {
    list.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// Looks names up and records the results.
pub(super) struct Recorder<'a> {
    names: &'a dyn Names,
    variables: RefCell<Vec<(String, Vec<u8>)>>,
    constants: RefCell<Vec<(String, String)>>,
    unknown: Cell<bool>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(names: &'a dyn Names) -> Self {
        Self { names, variables: RefCell::default(), constants: RefCell::default(), unknown: Cell::new(false) }
    }

    /// The line for the worker; `None` if all its names are known and mean the same in each PHP version.
    pub(super) fn late(self, line: &[u8]) -> Option<LateValue> {
        let (variables, constants) = (self.variables.into_inner(), self.constants.into_inner());
        self.unknown.get().then(|| LateValue { line: line.to_owned(), variables, constants })
    }

    fn noted<T: Clone>(&self, list: &RefCell<Vec<(String, T)>>, name: &str, value: Option<T>) -> Option<T> {
        match &value {
            Some(value) => list.borrow_mut().push((name.to_owned(), value.clone())),
            None => self.unknown.set(true),
        }
        value
    }
}

impl Names for Recorder<'_> {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        self.noted(&self.variables, name, self.names.variable(name))
    }

    fn constant(&self, name: &str) -> Option<String> {
        if VERSIONED.contains(&name) {
            self.unknown.set(true);
            return self.names.constant(name);
        }
        self.noted(&self.constants, name, self.names.constant(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Early;

    impl Names for Early {
        fn variable(&self, name: &str) -> Option<Vec<u8>> {
            (name == "HOME").then(|| b"/root".to_vec())
        }

        fn constant(&self, name: &str) -> Option<String> {
            ["E_ALL", "E_NOTICE"].contains(&name).then(|| if name == "E_ALL" { "32767" } else { "8" }.to_owned())
        }
    }

    struct Php;

    impl Names for Php {
        fn variable(&self, name: &str) -> Option<Vec<u8>> {
            ["memory_limit", "HOME"].contains(&name).then(|| b"64M".to_vec())
        }

        fn constant(&self, name: &str) -> Option<String> {
            match name {
                "CACHE_DISK" => Some("4".to_owned()),
                "E_ALL" => Some("1".to_owned()),
                _ => None,
            }
        }
    }

    fn late(line: &str) -> Option<LateValue> {
        let recorder = Recorder::new(&Early);
        let line = format!("php_value[a] = {line}\n");
        parse_line(line.as_bytes(), &recorder);
        recorder.late(line.as_bytes())
    }

    #[test]
    fn what_is_unknown_is_read_again() {
        let value = |line| late(line).and_then(|late| late.value(&Php));
        assert_eq!(value("CACHE_DISK").as_deref(), Some("4"));
        assert_eq!(value("CACHE_DISK | 1 ; c").as_deref(), Some("5"));
        assert_eq!(value("E_ALL").as_deref(), Some("1"));
        assert_eq!(value("E_ALL & ~CACHE_DISK").as_deref(), Some("1"));
        assert_eq!(value("E_NOTICE | CACHE_DISK").as_deref(), Some("12"));
        assert_eq!(value("\"${HOME}/${NO}\" CACHE_DISK").as_deref(), Some("/root/4"));
        assert_eq!(value("\"${HOME} ${memory_limit} ${memory_limit:-1M}\"").as_deref(), Some("/root 64M 64M"));
        for same in ["${HOME}", "${NO}", "UTC", "\"CACHE_DISK\"", "E_NOTICE", "128M", "yes", "a/CACHE_DISK"] {
            assert_eq!(value(same), None, "{same}");
        }
    }

    #[test]
    fn only_such_lines_are_kept() {
        for (line, kept) in [
            ("UTC", true),
            ("${NO}", true),
            ("${HOME}", false),
            ("E_ALL", true),
            ("E_NOTICE", false),
            ("1", false),
            ("'UTC'", false),
            ("off", false),
        ] {
            assert_eq!(late(line).is_some(), kept, "{line}");
        }
    }
}
