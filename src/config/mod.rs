//! php-fpm.conf: from the text to checked values.
#![forbid(unsafe_code)]

mod account;
mod check;
mod clients;
mod convert;
mod directives;
mod dump;
mod glob;
mod hint;
mod ini;
mod late;
mod listen;
mod message;
mod model;
mod options;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod origins;
mod paths;
mod raw;
mod reader;
mod section;
mod types;
mod values;
mod xml;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use account::{Account, SocketAccess, account, account_named, ignored_owners, ignored_without_root, socket_access};
pub use directives::{Directive, Dumped, GLOBAL_DIRECTIVES, Kind, LIST_DIRECTIVES, POOL_DIRECTIVES};

use crate::log;
use crate::log::messages::config as texts;
pub use clients::AllowedClients;
#[cfg(all(test, feature = "php"))]
pub(crate) use ini::NoNames;
pub(crate) use ini::syntax_error;
#[cfg(feature = "php")]
pub(crate) use ini::{Names, Statement, parse_line};
pub use late::LateValue;
pub use listen::{names_host, resolve, unix_path};
pub use message::{ConfigError, Message, Messages};
pub use model::{Config, Global, MonitorConfig, PoolConfig};
pub use options::{LoadOptions, PoolPaths};
pub use types::{
    BaseUse, CoreLimit, EngineKey, ErrorLog, ListenAddr, PhpIni, PhpSetting, PhpValuePolicy, ProcessManager,
};

use check::Check;
use directives::GlobalDirective;
use message::{Refused, shown};
use options::PhpNames;
use origins::Origins;
use paths::Prefixes;
use raw::Raw;
use reader::Reader;

/// The files that match a pattern of glob(3); none if a directory cannot be read.
#[cfg(feature = "php")]
pub(crate) fn files_matching(pattern: &str) -> Vec<PathBuf> {
    glob::files(pattern).unwrap_or_default()
}

/// A configuration that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The messages, in order.
    pub messages: Messages,
    raw: Raw,
}

/// Reads and checks a configuration file and all files that it includes. If it examines the paths of pools
/// (`LoadOptions::pool_paths`), it creates log files that do not exist, as php-fpm does.
///
/// # Errors
/// The configuration is refused. The error contains all messages.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, ConfigError> {
    let mut raw = Raw::new();
    let mut messages = Messages::new();
    if read(path, options, &mut raw, &mut messages).is_err() {
        let global = messages.log_is_open().then(|| convert::global(&raw));
        messages.format = global.as_ref().map_or(messages.format, |global| global.log_format);
        return Err(ConfigError::new(messages, global));
    }
    let config = convert::config(path, &raw, options);
    messages.format = config.global.log_format;
    Ok(Loaded { config, messages, raw })
}

/// The pid file that a configuration names, even if there are mistakes after it. Creates no file.
///
/// # Errors
/// The messages of a configuration that cannot be read that far.
pub fn pid_file(path: &Path, options: &LoadOptions) -> Result<Option<PathBuf>, Messages> {
    let (mut raw, mut messages) = (Raw::new(), Messages::new());
    let prefixes = Prefixes::new(options);
    let read = sections(path, options, &mut raw, &mut messages, &mut Origins::default());
    match (raw.global.filled(GlobalDirective::Pid), read) {
        (Some(pid), _) => Ok(Some(prefixes.state_path(pid).into())),
        (None, Ok(())) => Ok(None),
        (None, Err(Refused)) => Err(messages),
    }
}

/// The control socket that a configuration names, or the one beside its pid file. Nothing is examined.
///
/// # Errors
/// The messages of a configuration that cannot be read that far.
pub fn control_socket(path: &Path, options: &LoadOptions) -> Result<Option<PathBuf>, Messages> {
    let (mut raw, mut messages) = (Raw::new(), Messages::new());
    let prefixes = Prefixes::new(options);
    sections(path, options, &mut raw, &mut messages, &mut Origins::default()).map_err(|Refused| messages)?;
    let state_path = |value: &str| prefixes.state_path(value);
    let given = raw.global.text(GlobalDirective::ControlSocket);
    let given = given.map(|given| if given.contains('/') { state_path(given) } else { given.to_owned() });
    let pid = raw.global.filled(GlobalDirective::Pid).map(state_path);
    Ok(paths::control_socket(given.as_deref(), pid.as_deref()))
}

/// The address of the monitor that a configuration names: a path, or an IP address with a port. Nothing is examined.
///
/// # Errors
/// The messages of a configuration that cannot be read that far.
pub fn monitor_address(path: &Path, options: &LoadOptions) -> Result<Option<String>, Messages> {
    let (mut raw, mut messages) = (Raw::new(), Messages::new());
    let prefixes = Prefixes::new(options);
    let read = sections(path, options, &mut raw, &mut messages, &mut Origins::default());
    match (raw.global.filled(GlobalDirective::MonitorListen), read) {
        (Some(path), _) if path.contains('/') => Ok(Some(prefixes.state_path(path))),
        (Some(address), _) => Ok(Some(address.to_owned())),
        (None, Ok(())) => Ok(None),
        (None, Err(Refused)) => Err(messages),
    }
}

fn read(path: &Path, options: &LoadOptions, raw: &mut Raw, messages: &mut Messages) -> Result<(), Refused> {
    let prefixes = Prefixes::new(options);
    if let Some(prefix) = prefixes.given.as_deref().filter(|prefix| !prefix.is_empty() && !Path::new(prefix).is_dir()) {
        messages.log(texts::prefix_missing(prefix));
        return Err(Refused);
    }
    let mut origins = Origins::default();
    sections(path, options, raw, messages, &mut origins)?;
    let mut check =
        Check { options, prefixes: &prefixes, messages: &mut *messages, origins: &origins, examines: false };
    if check.all(raw).is_err() {
        messages.log(texts::rules_broken());
        return Err(Refused);
    }
    Ok(())
}

/// Reads the files into sections.
fn sections(
    path: &Path,
    options: &LoadOptions,
    raw: &mut Raw,
    messages: &mut Messages,
    origins: &mut Origins,
) -> Result<(), Refused> {
    if let Some(pid) = options.pid_file.as_deref().filter(|pid| !pid.as_os_str().is_empty()) {
        raw.global.set_text(GlobalDirective::Pid, shown(pid));
    }
    // The file is XML or ini.
    let read = reader::read(path, messages).and_then(|text| {
        if xml::is_xml(&text) {
            return xml::load(path, &text, options, raw, messages);
        }
        Reader::new(raw, messages, origins, &PhpNames(options), &Prefixes::new(options)).text(path, &text)
    });
    if read.is_err() {
        messages.log(texts::file_refused(shown(path)));
        return Err(Refused);
    }
    Ok(())
}

/// `--convert`: converts an XML file of the original php-fpm to an ini file. Also returns the messages.
///
/// # Errors
/// The file cannot be read, is not XML, or is refused.
pub fn convert(path: &Path, options: &LoadOptions) -> Result<(String, Messages), ConfigError> {
    let mut messages = Messages::new();
    let converted = reader::read(path, &mut messages).and_then(|text| {
        if xml::is_xml(&text) {
            return xml::convert(path, &text, options, &mut messages);
        }
        messages.log(texts::not_xml(shown(path)));
        Err(Refused)
    });
    match converted {
        Ok(ini) => Ok((ini, messages)),
        Err(Refused) => Err(ConfigError { messages, global: None }),
    }
}

impl Loaded {
    /// Adds messages.
    ///
    /// # Errors
    /// One of them is an error: the configuration is refused, with all messages.
    pub fn with_remarks(mut self, remarks: Vec<log::Message>) -> Result<Self, ConfigError> {
        let refused = remarks.iter().any(|remark| remark.level() >= log::Level::Error);
        remarks.into_iter().for_each(|remark| self.messages.log(remark));
        if refused { Err(ConfigError::new(self.messages, Some(self.config.global))) } else { Ok(self) }
    }

    /// `-t` and `-tt`: checks that users and groups exist. Returns the messages, with the whole configuration if `dump`.
    ///
    /// # Errors
    /// A user or group does not exist.
    pub fn test(mut self, dump: bool) -> Result<Messages, ConfigError> {
        if account::check_names(&self.raw, &mut self.messages).is_err() {
            return Err(ConfigError::new(self.messages, Some(self.config.global)));
        }
        if dump {
            for line in dump::lines(&self.raw) {
                self.messages.log(texts::dumped(line));
            }
        }
        self.messages.log(texts::test_successful(shown(&self.config.file)));
        Ok(self.messages)
    }
}
