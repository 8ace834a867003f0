//! Asks a php-cgi with its library which protocol it speaks (`--fpm-role=hello`), as a user without rights and with a time limit.
//!
//! That user has no other process. Otherwise a pool of this user could answer in place of the program, or end it, and so keep other pools
//! from starting; and it could lock the pipe of the answer, which this process reads.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::child::Child;
use crate::engine::Program;
use crate::escape;
use crate::host::preload_list;
use crate::ipc::Introduction;
use crate::sys::fd::{self, Stream};
use crate::sys::ids::{self, Identity};
use crate::sys::{process, signal, single_threaded, unused_user};

/// How long it may take.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// Variables that it gets; no others, since it may be of any user's making.
const KEPT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];
/// The most of its words that a message shows.
const SHOWN: usize = 300;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It took too long.
    Silent,
    /// What it printed instead.
    Said(String),
}

/// A program that was asked.
#[derive(Debug)]
pub(super) struct Hello(Child);

impl Hello {
    /// Runs the program; as root, with a user id that is none of `users`.
    pub(super) fn ask(program: &Program, users: &[u32]) -> Self {
        Self(Child::start(LIMIT, |out| {
            let failed = run(program, users, out);
            let _ = write!(out, "cannot execute it: {failed}");
        }))
    }

    /// Whether there is an answer by then, or will be none.
    pub(super) fn is_over(&mut self, until: Instant) -> bool {
        self.0.is_over(until)
    }

    /// Waits for the answer.
    pub(super) fn answer(self) -> Result<Introduction, Failure> {
        let said = self.0.wait().ok_or(Failure::Silent)?;
        // Its library may print warnings before.
        let answer = said.split(|byte| *byte == b'\n').find_map(|line| serde_json::from_slice(line).ok());
        answer.ok_or_else(|| Failure::Said(words(&said)))
    }
}

/// Executes it. Returns only if that fails.
fn run(program: &Program, users: &[u32], out: &File) -> std::io::Error {
    let prepared = prepare(program, users, out);
    if let Err(e) = prepared {
        return e;
    }
    process::exec(&program.path, &["php-fpm: hello", "--fpm", "--fpm-role=hello"])
}

fn prepare(program: &Program, users: &[u32], out: &File) -> std::io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    fd::redirect(Stream::Stdin, &null)?;
    fd::redirect(Stream::Stdout, out)?;
    fd::redirect(Stream::Stderr, out)?;
    let preload = program.preload.as_deref().map(preload_list);
    for (name, _) in std::env::vars_os() {
        if let Some(name) = name.to_str().filter(|name| !KEPT.contains(name)) {
            single_threaded::remove_variable(name);
        }
    }
    if let Some(list) = preload {
        single_threaded::set_variable("LD_PRELOAD", &list);
    }
    signal::reset_actions();
    if nix::unistd::geteuid().is_root() {
        let user = unused_user::find(users).ok_or_else(|| std::io::Error::other("no user id is unused"))?;
        let identity = Identity { uid: user, gid: user, groups: vec![user] };
        ids::become_identity(&identity, &user.to_string(), &[]).map_err(std::io::Error::other)?;
    }
    // After the change of user, which resets it.
    process::die_with_parent(Signal::SIGKILL)?;
    let _ = signal::set_mask(&nix::sys::signal::SigSet::empty());
    Ok(())
}

/// The first line that it printed, for a message.
fn words(said: &[u8]) -> String {
    let line = said.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let shown = line.get(..SHOWN.min(line.len())).unwrap_or_default();
    match shown {
        b"" => "it exits without an answer".to_owned(),
        // An older version does not know the role, and prints its usage.
        usage if usage.starts_with(b"Usage:") => {
            "its library is too old: it does not say which protocol it speaks".to_owned()
        }
        shown => escape::line(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_and_everything_else_is_shown() {
        assert_eq!(words(b"\n\x1b[1mno such file\nmore"), escape::line(b"\x1b[1mno such file"));
        assert_eq!(words(b""), "it exits without an answer");
        assert!(words(b"Usage: php-fpm [-n]").contains("too old"));
    }
}
