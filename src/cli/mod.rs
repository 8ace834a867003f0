//! The command line: php-fpm's options, and those with which the program starts itself again.
#![forbid(unsafe_code)]

mod getopt;
mod usage;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use crate::config::LoadOptions;
use crate::engine::EngineOptions;

use getopt::{Getopt, Opt};
pub use usage::usage;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Run(Options),
    /// `-t`; `-tt` also prints the configuration.
    Test {
        /// `-tt`.
        dump: bool,
        /// The rest.
        options: Options,
    },
    /// `start`, `stop` and the other words of the control script.
    Control {
        /// Which.
        verb: Verb,
        /// Where it stands among the arguments.
        at: usize,
        /// The rest.
        options: Options,
    },
    /// `--convert FILE`: the ini file that says the same as an XML file of the original php-fpm, on stdout.
    Convert {
        /// The XML file.
        file: PathBuf,
        /// The rest.
        options: Options,
    },
    /// `-v`.
    Version(Options),
    /// `-i`.
    Info(Options),
    /// `-m`.
    Modules(Options),
    /// `-h`: usage on stdout.
    Help,
    /// The program started by itself.
    Role {
        /// As what.
        role: Role,
        /// The descriptor to talk over.
        fd: RawFd,
        /// The options it was started with itself.
        options: Options,
    },
}

/// What the control script is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are the operator's")]
pub enum Verb {
    Start,
    Stop,
    Quit,
    Restart,
    Reload,
    Logrotate,
    Status,
    Configtest,
}

/// As what the program starts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// PHP, started once, from which workers are forked.
    Zygote,
    /// Checks whether a new configuration and program would start.
    Check,
    /// The supervisor again, after a reload.
    Resume,
}

/// Not a command line that makes sense: print the usage (php-fpm does so on stdout) and exit with `ExitCode::Usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage;

/// The options that don't decide what is done, but how.
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

    /// What `config::load` gets to know from the command line; paths and version of PHP are still to be filled in.
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
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// An unknown option, a missing value, something left over.
pub fn parse(arguments: &[OsString]) -> Result<Command, Usage> {
    let mut getopt = Getopt::new(arguments);
    let mut options = Options::default();
    let (mut tests, mut info, mut convert, mut role, mut fd) = (0_u32, false, None, None, None);
    let mut control = None;
    loop {
        let Some(option) = getopt.next() else {
            // A word of the control script may stand among the options.
            match getopt.word().and_then(|(at, word)| Some((Verb::named(word)?, at))) {
                Some(found) if control.is_none() => control = Some(found),
                _ => break,
            }
            getopt.pass();
            continue;
        };
        let (option, value) = option?;
        match option {
            Opt::Fpm => {}
            Opt::Test => tests += 1,
            Opt::Info => info = true,
            Opt::Convert => convert = Some(PathBuf::from(value)),
            Opt::Help => return Ok(Command::Help),
            Opt::Modules => return Ok(Command::Modules(options)),
            Opt::Version => return Ok(Command::Version(options)),
            Opt::Role => role = Some(Role::named(&value)?),
            Opt::Fd => fd = Some(descriptor(&value)?),
            other => options.set(other, value),
        }
    }
    if info {
        return Ok(Command::Info(options));
    }
    if !getopt.is_at_end() {
        return Err(Usage);
    }
    if let Some((verb, at)) = control {
        // A start that stays in the foreground would never come back.
        let stays = matches!(verb, Verb::Start | Verb::Restart) && options.daemonize == Some(false);
        let alone = tests == 0 && convert.is_none() && role.is_none() && fd.is_none() && !stays;
        return if alone { Ok(Command::Control { verb, at, options }) } else { Err(Usage) };
    }
    if let (Some(file), None, None) = (&convert, role, fd) {
        return Ok(Command::Convert { file: file.clone(), options });
    }
    match (role, fd) {
        (Some(role), Some(fd)) => Ok(Command::Role { role, fd, options }),
        (None, None) if tests > 0 => Ok(Command::Test { dump: tests > 1, options }),
        (None, None) => Ok(Command::Run(options)),
        _ => Err(Usage),
    }
}

impl Options {
    fn set(&mut self, option: Opt, value: OsString) {
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
            _ => {}
        }
    }
}

impl Verb {
    fn named(word: &OsString) -> Option<Self> {
        match word.to_str()? {
            "start" => Some(Self::Start),
            "stop" => Some(Self::Stop),
            "quit" => Some(Self::Quit),
            "restart" => Some(Self::Restart),
            "reload" => Some(Self::Reload),
            "logrotate" => Some(Self::Logrotate),
            "status" => Some(Self::Status),
            "configtest" => Some(Self::Configtest),
            _ => None,
        }
    }
}

impl Role {
    fn named(name: &OsString) -> Result<Self, Usage> {
        match name.to_str() {
            Some("zygote") => Ok(Role::Zygote),
            Some("check") => Ok(Role::Check),
            Some("resume") => Ok(Role::Resume),
            _ => Err(Usage),
        }
    }
}

fn descriptor(value: &OsString) -> Result<RawFd, Usage> {
    let digits = value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(Usage)
}
