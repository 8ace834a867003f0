//! The command line: php-fpm's options, and those with which the program starts itself again.
#![forbid(unsafe_code)]

mod caches;
mod getopt;
mod health;
mod options;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod top;
mod usage;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

pub use caches::{CacheCommand, CacheVerb};
use getopt::{Getopt, Opt};
pub use health::{HealthCheck, Metric, WrongOption};
pub use options::Options;
pub use top::Top;
pub use usage::{Usage, usage};

use crate::engine::Topic;

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
        /// Its index among the arguments.
        at: usize,
        /// What `reload` is limited to.
        part: Part,
        /// The rest.
        options: Options,
    },
    /// `health`: whether the running php-fpm works, as its monitor says.
    Health {
        /// What to find out.
        check: Result<HealthCheck, WrongOption>,
        /// The rest.
        options: Options,
    },
    /// `top`: what the pools do, as the monitor says.
    Top {
        /// How it is shown.
        top: Result<Top, WrongOption>,
        /// The rest.
        options: Options,
    },
    /// `cache` and `opcache`: asks the running php-fpm about its caches.
    Caches {
        /// What to do.
        command: Result<CacheCommand, WrongOption>,
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
    /// `-v`, `-i`, `-m`.
    Describe {
        /// Which.
        topic: Topic,
        /// The rest.
        options: Options,
    },
    /// `-h`: usage on stdout.
    Help,
    /// `--fpm-role=hello`: the program says which protocol it speaks, and exits.
    Hello,
    /// The program, executed by the supervisor.
    Role {
        /// Its role.
        role: Role,
        /// The descriptor to communicate over.
        fd: RawFd,
        /// The options that the supervisor was started with.
        options: Options,
    },
}

/// A command of the control script.
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

/// What `reload` is limited to; everything, if it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// `--changed`: what has changed.
    pub changed: bool,
    /// Names of pools and groups.
    pub names: Vec<String>,
}

/// The roles in which the supervisor executes the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Starts PHP once and forks workers.
    Zygote,
    /// Starts PHP once and forks zygotes.
    Base,
    /// Answers HTTP requests about the pools.
    Monitor,
    /// Checks whether the new configuration and program would start.
    Check,
    /// Tells about PHP for `-t`, `-i` and the like.
    Inquiry,
    /// The supervisor again, after a reload.
    Resume,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// An unknown option, a missing value, something left over.
pub fn parse(arguments: &[OsString]) -> Result<Command, Usage> {
    let mut getopt = Getopt::new(arguments);
    let mut options = Options::default();
    let (mut tests, mut topic, mut convert, mut role, mut fd) = (0_u32, None::<Topic>, None, None, None);
    // php-fpm stops at -v and -m. A pool may stand after them.
    let about_pool = arguments.iter().any(|argument| argument.as_encoded_bytes().starts_with(b"--pool"));
    let (mut control, mut part) = (None, Part::default());
    loop {
        let Some(option) = getopt.next() else {
            // A word of the control script may stand among the options; after `reload`, names.
            let Some((at, word)) = getopt.word() else { break };
            if let (None, Some(command)) = (control, command_with_options(word)) {
                return Ok(command(arguments.get(at..).unwrap_or_default(), options));
            }
            match (control, Verb::named(word)) {
                (None, Some(verb)) => control = Some((verb, at)),
                (Some((Verb::Reload, _)), _) => part.names.push(word.to_str().ok_or(Usage)?.to_owned()),
                _ => break,
            }
            getopt.pass();
            continue;
        };
        let (option, value) = option?;
        match option {
            Opt::Fpm => {}
            Opt::Test => tests += 1,
            Opt::Info => topic = Some(Topic::Info),
            Opt::Convert => convert = Some(PathBuf::from(value)),
            Opt::Help => return Ok(Command::Help),
            Opt::Modules | Opt::Version => {
                topic = Some(if option == Opt::Version { Topic::Version } else { Topic::Modules });
                if !about_pool {
                    break;
                }
            }
            Opt::Role if value == "hello" => return Ok(Command::Hello),
            Opt::Changed => part.changed = true,
            Opt::Role => role = Some(Role::named(&value)?),
            Opt::Fd => fd = Some(descriptor(&value)?),
            other => options.set(other, value),
        }
    }
    if let Some(topic) = topic {
        return Ok(Command::Describe { topic, options });
    }
    if options.pool.is_some() || !getopt.is_at_end() {
        return Err(Usage);
    }
    if let Some((verb, at)) = control {
        let alone = tests == 0 && convert.is_none() && role.is_none() && fd.is_none();
        return control_command((verb, at), part, options, alone);
    }
    match (role, fd, convert) {
        _ if part.changed => Err(Usage),
        (Some(role), Some(fd), _) => Ok(Command::Role { role, fd, options }),
        (None, None, Some(file)) => Ok(Command::Convert { file, options }),
        (None, None, None) if tests > 0 => Ok(Command::Test { dump: tests > 1, options }),
        (None, None, None) => Ok(Command::Run(options)),
        _ => Err(Usage),
    }
}

/// A word of the control script; `alone`: without an option that excludes it.
fn control_command((verb, at): (Verb, usize), part: Part, options: Options, alone: bool) -> Result<Command, Usage> {
    // A start in the foreground would not return.
    let stays = matches!(verb, Verb::Start | Verb::Restart) && options.daemonize == Some(false);
    let whole = verb == Verb::Reload || part == Part::default();
    if alone && whole && !stays { Ok(Command::Control { verb, at, part, options }) } else { Err(Usage) }
}

/// Reads a command that has options of its own, among which others may stand. The first argument is its word.
type ReadCommand = fn(&[OsString], Options) -> Command;

fn command_with_options(word: &OsString) -> Option<ReadCommand> {
    match word.to_str()? {
        "health" => Some(health_command),
        "top" => Some(top_command),
        _ => caches::begins(word).then_some(caches_command),
    }
}

fn health_command(arguments: &[OsString], mut options: Options) -> Command {
    let taken = health::take(arguments.get(1..).unwrap_or_default());
    let check = taken.and_then(|(check, others)| others_of_command(&others, &mut options).map(|()| check));
    Command::Health { check, options }
}

fn top_command(arguments: &[OsString], mut options: Options) -> Command {
    let taken = top::take(arguments.get(1..).unwrap_or_default());
    let top = taken.and_then(|(top, others)| others_of_command(&others, &mut options).map(|()| top));
    Command::Top { top, options }
}

fn caches_command(arguments: &[OsString], mut options: Options) -> Command {
    let taken = caches::take(arguments);
    let command = taken.and_then(|(command, others)| others_of_command(&others, &mut options).map(|()| command));
    Command::Caches { command, options }
}

/// Options that say which configuration is meant.
fn others_of_command(others: &[OsString], options: &mut Options) -> Result<(), WrongOption> {
    let mut getopt = Getopt::new(others);
    let mut known = true;
    while let Some(option) = getopt.next() {
        match option {
            Ok((
                option @ (Opt::PhpIni | Opt::NoPhpIni | Opt::Define | Opt::FpmConfig | Opt::Prefix | Opt::Pid),
                value,
            )) => options.set(option, value),
            Ok(_) | Err(Usage) => known = false,
        }
    }
    let wrong = || WrongOption(format!("it does not take all of '{}'", others.join(" ".as_ref()).display()));
    if known && getopt.is_at_end() { Ok(()) } else { Err(wrong()) }
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
            Some("base") => Ok(Role::Base),
            Some("monitor") => Ok(Role::Monitor),
            Some("check") => Ok(Role::Check),
            Some("inquiry") => Ok(Role::Inquiry),
            Some("resume") => Ok(Role::Resume),
            _ => Err(Usage),
        }
    }
}

fn descriptor(value: &OsString) -> Result<RawFd, Usage> {
    let digits = value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or(Usage)
}
