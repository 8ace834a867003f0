//! Compares docs/configuration.md and build-aux/php-fpm.conf.default with the program's table of directives: both
//! contain every directive and no other, with its real default.
#![forbid(unsafe_code)]

mod of_php;
mod page;
mod sample;

use std::fs;

use cgi_fpm::config::{Config, LoadOptions, Message, Messages, load};
use testkit::Outcome;

/// A configuration with as few directives as possible, except for files that other directives need.
const GLOBAL: &str = "[global]\n";
const POOL: &str = "[www]\nuser = nobody\nlisten = 127.0.0.1:9000\npm = static\npm.max_children = 3\n\
                    access.log = log/a\nslowlog = log/s\nping.path = /ping\n";

/// A directory that is PHP's prefix.
struct Place(tempfile::TempDir);

/// The result of reading a configuration, and the output of `-tt`.
type Read = (Config, Vec<String>);

impl Place {
    fn new() -> Outcome<Self> {
        let place = Self(tempfile::tempdir()?);
        for dir in ["log", "www/log", "etc/php-fpm.d"] {
            fs::create_dir_all(place.0.path().join(dir))?;
        }
        Ok(place)
    }

    /// Reads it as root would, or returns the messages.
    fn read(&self, conf: &str) -> Result<Read, String> {
        let dir = self.0.path();
        let file = dir.join("php-fpm.conf");
        fs::write(&file, conf).map_err(|e| e.to_string())?;
        let options = LoadOptions {
            php_prefix: dir.to_owned(),
            local_state_dir: dir.to_owned(),
            environment: vec![("HOSTNAME".into(), "host".into())],
            root: true,
            ..LoadOptions::default()
        };
        let loaded = load(&file, &options).map_err(|e| texts(&e.messages).join("\n"))?;
        let config = loaded.config.clone();
        let dumped = loaded.test(true).map_err(|e| texts(&e.messages).join("\n"))?;
        Ok((config, texts(&dumped)))
    }

    /// With a line at the end of `[global]` or of the pool.
    fn with(&self, global: bool, line: &str) -> Result<Read, String> {
        self.read(&if global { format!("{GLOBAL}{line}\n{POOL}") } else { format!("{GLOBAL}{POOL}{line}\n") })
    }
}

fn texts(messages: &Messages) -> Vec<String> {
    messages.lines.iter().map(Message::text).map(str::to_owned).collect()
}
