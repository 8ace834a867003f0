//! `-t`, `-tt` and `--convert`: read the configuration, print the messages, and exit.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;

use super::announce::{announce, say};
use super::options::load_options;
use super::preflight::load;
use crate::cli::Options;
use crate::config;
use crate::engine::Engine;
use crate::exit::ExitCode;
use crate::host::Host;
use crate::log::{self, messages::config::conversion_not_written};

/// `-t`, `-tt`.
#[must_use]
pub(crate) fn test(host: &Host, engine: &mut dyn Engine, options: &Options, dump: bool) -> i32 {
    let read_with = load_options(host, options);
    let tested = load(engine, host, options, &read_with, true).and_then(|loaded| {
        let global = loaded.config.global.clone();
        Ok((loaded.test(dump)?, global))
    });
    let (messages, global, code) = match tested {
        Ok((messages, global)) => (messages, Some(global), ExitCode::Ok),
        Err(e) => (e.messages, e.global.map(|global| *global), ExitCode::Config),
    };
    // Reading the configuration has already tried to open the log.
    let _ = announce(&messages, global.as_ref(), options);
    code.status()
}

/// `--convert`: the ini file goes to stdout, messages go to stderr.
#[must_use]
pub(crate) fn convert(host: &Host, file: &Path, options: &Options) -> i32 {
    match config::convert(file, &load_options(host, options)) {
        Ok((ini, messages)) => {
            say(&messages);
            match std::io::stdout().write_all(ini.as_bytes()) {
                Ok(()) => ExitCode::Ok.status(),
                Err(e) => {
                    log::say(&conversion_not_written(e));
                    ExitCode::Software.status()
                }
            }
        }
        Err(e) => {
            say(&e.messages);
            ExitCode::Config.status()
        }
    }
}
