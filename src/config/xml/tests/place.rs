//! A configuration of the original in a directory of its own.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::config::{Config, ConfigError, LoadOptions, Loaded, Message, convert, load};

/// A directory with a configuration in it.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new(conf: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path().join("logs")).unwrap();
        fs::write(place.path().join("php-fpm.conf"), conf).unwrap();
        place
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The prefix is the place; root's rules hold, so that a user is wanted.
    pub(super) fn options(&self) -> LoadOptions {
        LoadOptions {
            php_prefix: self.path().to_owned(),
            local_state_dir: self.path().join("var"),
            root: true,
            environment: vec![("HOSTNAME".into(), "old.example".into())],
            ..LoadOptions::default()
        }
    }

    pub(super) fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.path().join("php-fpm.conf"), &self.options())
    }

    pub(super) fn config(&self) -> Config {
        self.load().unwrap().config
    }

    pub(super) fn texts(&self, lines: &[Message]) -> Vec<String> {
        let place = self.path().to_str().unwrap();
        let lines = lines.iter().map(|line| match line {
            Message::Log(line) | Message::Hint(line) => format!("{:?}: {line}", line.level()).replace(place, "DIR"),
            Message::Stderr(text) => text.clone(),
        });
        lines.collect()
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        self.texts(&self.load().unwrap().messages.lines)
    }

    pub(super) fn refusal(&self) -> Vec<String> {
        let mut lines = self.texts(&self.load().unwrap_err().messages.lines);
        assert_eq!(lines.pop().as_deref(), Some("Error: FPM initialization failed"));
        assert_eq!(lines.pop().as_deref(), Some("Error: failed to load configuration file 'DIR/php-fpm.conf'"));
        lines
    }

    /// The output of `-tt` for a file.
    pub(super) fn dump(&self, name: &str) -> Vec<String> {
        let loaded = load(&self.path().join(name), &self.options()).unwrap();
        self.texts(&loaded.test(true).unwrap().lines)
    }

    pub(super) fn converted(&self) -> String {
        convert(&self.path().join("php-fpm.conf"), &self.options()).unwrap().0
    }
}

/// A file of these sections.
pub(super) fn file(global: &str, pools: &[&str]) -> Place {
    let mut text = format!(
        "<?xml version=\"1.0\" ?>\n<configuration>\n words\n<section name=\"global_options\">{global}</section>\n<workers>\n"
    );
    for pool in pools {
        text.push_str(&format!("<section name=\"pool\">{pool}</section>\n"));
    }
    Place::new(&(text + "</workers>\n</configuration>\n"))
}

/// A pool that is accepted.
pub(super) const POOL: &str = "<value name=\"listen_address\">127.0.0.1:9000</value><value name=\"user\">nobody</value>\
    <value name=\"pm\"><value name=\"max_children\">5</value></value>";

/// A file of one pool with more values in it.
pub(super) fn pool(values: &str) -> Place {
    file("", &[&format!("{POOL}{values}")])
}

pub(super) fn value(name: &str, text: &str) -> String {
    format!("<value name=\"{name}\">{text}</value>")
}
