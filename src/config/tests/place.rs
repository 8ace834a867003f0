//! A configuration in a directory of its own.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::config::{Config, ConfigError, LoadOptions, Loaded, Message, load};

/// A directory with a configuration in it.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new(conf: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path().join("log")).unwrap();
        place.write("php-fpm.conf", conf);
        place
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub(super) fn options(&self) -> LoadOptions {
        LoadOptions {
            php_prefix: self.path().to_owned(),
            local_state_dir: self.path().to_owned(),
            environment: vec![(OsString::from("LANG"), OsString::from("C.UTF-8"))],
            ..LoadOptions::default()
        }
    }

    pub(super) fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.path().join("php-fpm.conf"), &self.options())
    }

    pub(super) fn config(&self) -> Config {
        self.load().unwrap().config
    }

    /// The messages of a refusal without the last ones, which are always the same; `DIR` stands for the place.
    pub(super) fn refusal(&self) -> Vec<String> {
        self.refusal_with(&self.options())
    }

    /// The same with other options.
    pub(super) fn refusal_with(&self, options: &LoadOptions) -> Vec<String> {
        let error = load(&self.path().join("php-fpm.conf"), options).unwrap_err();
        let lines = error.messages.lines.iter().map(|line| match line {
            Message::Log(line) | Message::Hint(line) => format!("{:?}: {line}", line.level()),
            Message::Stderr(text) => text.clone(),
        });
        let mut lines: Vec<String> = lines.map(|line| line.replace(self.path().to_str().unwrap(), "DIR")).collect();
        assert_eq!(lines.pop().as_deref(), Some("Error: FPM initialization failed"));
        lines.pop();
        lines
    }
}

/// A pool that is accepted.
pub(super) const POOL: &str = "[www]\nuser = nobody\nlisten = 9000\npm = static\npm.max_children = 1\n";

/// A file with that pool and more lines in it.
pub(super) fn pool_with(lines: &str) -> Place {
    Place::new(&format!("{POOL}{lines}\n"))
}
