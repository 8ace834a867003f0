//! Reads options one by one, by the rules of PHP's own getopt (`main/getopt.c`).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::usage::Usage;

/// An option, in its short or long form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opt {
    PhpIni,
    Define,
    ExtendedInfo,
    Help,
    Info,
    Modules,
    NoPhpIni,
    Version,
    FpmConfig,
    Test,
    Prefix,
    Pid,
    AllowRoot,
    Daemonize,
    NoDaemonize,
    ForceStderr,
    Fpm,
    Convert,
    Changed,
    Pool,
    Role,
    Fd,
}

struct Known {
    letter: Option<u8>,
    name: &'static str,
    opt: Opt,
    takes_value: bool,
}

const fn known(letter: u8, name: &'static str, opt: Opt, takes_value: bool) -> Known {
    Known { letter: if letter == 0 { None } else { Some(letter) }, name, opt, takes_value }
}

const KNOWN: &[Known] = &[
    known(b'c', "php-ini", Opt::PhpIni, true),
    known(b'd', "define", Opt::Define, true),
    known(b'e', "profile-info", Opt::ExtendedInfo, false),
    known(b'h', "help", Opt::Help, false),
    known(b'i', "info", Opt::Info, false),
    known(b'm', "modules", Opt::Modules, false),
    known(b'n', "no-php-ini", Opt::NoPhpIni, false),
    known(b'?', "usage", Opt::Help, false),
    known(b'v', "version", Opt::Version, false),
    known(b'y', "fpm-config", Opt::FpmConfig, true),
    known(b't', "test", Opt::Test, false),
    known(b'p', "prefix", Opt::Prefix, true),
    known(b'g', "pid", Opt::Pid, true),
    known(b'R', "allow-to-run-as-root", Opt::AllowRoot, false),
    known(b'D', "daemonize", Opt::Daemonize, false),
    known(b'F', "nodaemonize", Opt::NoDaemonize, false),
    known(b'O', "force-stderr", Opt::ForceStderr, false),
    known(b'x', "fpm", Opt::Fpm, false),
    known(0, "convert", Opt::Convert, true),
    known(0, "changed", Opt::Changed, false),
    known(0, "pool", Opt::Pool, true),
    known(0, "fpm-role", Opt::Role, true),
    known(0, "fpm-fd", Opt::Fd, true),
];

/// An option with its value, which is empty if it takes none.
type Found = (Opt, OsString);

/// Walks over the arguments.
pub(super) struct Getopt<'a> {
    arguments: &'a [OsString],
    at: usize,
    /// The index of the next letter in a cluster such as `-nF`.
    letter: Option<usize>,
}

impl<'a> Getopt<'a> {
    pub(super) fn new(arguments: &'a [OsString]) -> Self {
        Self { arguments, at: 0, letter: None }
    }

    /// Whether all arguments are read.
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.arguments.len()
    }

    /// The argument at which the options end, and its index.
    pub(super) fn word(&self) -> Option<(usize, &'a OsString)> {
        Some((self.at, self.arguments.get(self.at)?))
    }

    /// Continues after that argument.
    pub(super) fn pass(&mut self) {
        self.at += 1;
    }

    /// The next option; `None` at the first argument that is not an option.
    pub(super) fn next(&mut self) -> Option<Result<Found, Usage>> {
        let argument = self.arguments.get(self.at)?.as_bytes();
        if let Some(letter) = self.letter {
            return Some(self.short(argument, letter));
        }
        match argument {
            b"--" => {
                self.at += 1;
                None
            }
            [b'-', b'-', long @ ..] => Some(self.long(long)),
            [b'-', _, ..] => Some(self.short(argument, 1)),
            _ => None,
        }
    }

    fn long(&mut self, argument: &[u8]) -> Result<Found, Usage> {
        self.at += 1;
        // An equals sign at the very end does not separate: `--pid=` is unknown.
        let end = argument.len().saturating_sub(1);
        let equals = argument[..end].iter().position(|byte| *byte == b'=');
        let name = &argument[..equals.unwrap_or(argument.len())];
        let known = KNOWN.iter().find(|known| known.name.as_bytes() == name).ok_or(Usage)?;
        let rest = equals.map_or(&[][..], |equals| &argument[equals + 1..]);
        self.with_value(known, rest)
    }

    fn short(&mut self, argument: &[u8], letter: usize) -> Result<Found, Usage> {
        let known = KNOWN.iter().find(|known| known.letter == argument.get(letter).copied());
        let known = known.ok_or(Usage)?;
        let rest = &argument[letter + 1..];
        if known.takes_value || rest.is_empty() {
            self.letter = None;
            self.at += 1;
        } else {
            self.letter = Some(letter + 1);
        }
        self.with_value(known, rest)
    }

    /// The value of an option, in the same argument (maybe after `=`) or in the next one.
    fn with_value(&mut self, known: &Known, rest: &[u8]) -> Result<Found, Usage> {
        if !known.takes_value {
            return Ok((known.opt, OsString::new()));
        }
        if !rest.is_empty() {
            let value = rest.strip_prefix(b"=").unwrap_or(rest);
            return Ok((known.opt, OsString::from_vec(value.to_vec())));
        }
        let value = self.arguments.get(self.at).ok_or(Usage)?;
        self.at += 1;
        Ok((known.opt, value.clone()))
    }
}
