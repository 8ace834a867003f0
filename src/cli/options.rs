//! The options that apply to every command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::getopt::Opt;
use crate::config::LoadOptions;
use crate::engine::EngineOptions;

/// The options that decide how a command is carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `-c`, `-n`, `-d`, `-e`.
    pub engine: EngineOptions,
    /// `-y`.
    pub config_file: Option<PathBuf>,
    /// `-p`.
    pub prefix: Option<PathBuf>,
    /// `-g`.
    pub pid_file: Option<PathBuf>,
    /// `-D` is true, `-F` false; the last one counts.
    pub daemonize: Option<bool>,
    /// `-O`: in the foreground log to stderr even if it isn't a terminal.
    pub force_stderr: bool,
    /// `-R`.
    pub allow_root: bool,
    /// `--pool`: `-v`, `-i` and `-m` are about this pool.
    pub pool: Option<String>,
}

impl Options {
    /// The configuration file: `-y`, or `-d fpm.config=`, or below the prefix of `-p`, or the default given.
    #[must_use]
    pub fn config_path(&self, default: &Path) -> PathBuf {
        let given = self.config_file.as_ref().filter(|file| !file.as_os_str().is_empty());
        let defines = self.engine.defines.iter().rev();
        let defined = defines.filter_map(|define| define.strip_prefix("fpm.config=")).next();
        match (given, defined, &self.prefix) {
            (Some(file), _, _) => file.clone(),
            (None, Some(file), _) if !file.is_empty() => file.into(),
            (None, _, Some(prefix)) => {
                let mut path = prefix.clone().into_os_string();
                path.push("/etc/php-fpm.conf");
                path.into()
            }
            _ => default.to_owned(),
        }
    }

    /// The options of `config::load` that the command line gives. The caller fills in the paths and the version of PHP.
    #[must_use]
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions {
            prefix: self.prefix.clone(),
            pid_file: self.pid_file.clone(),
            daemonize: self.daemonize,
            allow_root: self.allow_root,
            root: nix::unistd::geteuid().is_root(),
            defines: self.engine.defines.clone(),
            environment: std::env::vars_os().collect(),
            ..LoadOptions::default()
        }
    }

    /// Sets an option of the command line; options that belong elsewhere are ignored.
    pub(super) fn set(&mut self, option: Opt, value: OsString) {
        match option {
            Opt::PhpIni => self.engine.ini_path = Some(value.into()),
            Opt::NoPhpIni => self.engine.no_ini = true,
            Opt::Define => self.engine.defines.push(value.to_string_lossy().into_owned()),
            Opt::ExtendedInfo => self.engine.extended_info = true,
            Opt::FpmConfig => self.config_file = Some(value.into()),
            Opt::Prefix => self.prefix = Some(value.into()),
            Opt::Pid => self.pid_file = Some(value.into()),
            Opt::Daemonize => self.daemonize = Some(true),
            Opt::NoDaemonize => self.daemonize = Some(false),
            Opt::ForceStderr => self.force_stderr = true,
            Opt::AllowRoot => self.allow_root = true,
            Opt::Pool => self.pool = Some(value.to_string_lossy().into_owned()),
            _ => {}
        }
    }
}
