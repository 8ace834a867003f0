//! What zygotes and workers write to stdout and stderr: pipes, cut into messages for the log.

mod kept;
mod last_words;
mod message;
mod object;
mod relay;
pub mod splitter;

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::log::{self, Format, Level};
use crate::plan::budget::Intake;
use crate::plan::fleet::WorkerKey;
use crate::supervisor::output::splitter::{Piece, Splitter};
use crate::sys::clock;
pub use object::check;

pub(super) use kept::Kept;
use kept::{Look, TURN, TURNS};
use message::{End, Form, Message};

/// Whose output a pipe carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A zygote of that group, started by a program that noted no more.
    Zygote(String),
    /// A zygote.
    Group {
        /// Its group.
        group: String,
        /// Its pid.
        pid: i32,
    },
    /// A worker: which, its pool, pid, `stdout` or `stderr`, decorated or raw.
    Worker {
        /// Its slot, which it has to itself until it has ended; its pipes may be read a little longer.
        key: WorkerKey,
        /// The pool.
        pool: String,
        /// Known once it was forked.
        pid: i32,
        /// Which of its streams.
        stream: String,
        /// `decorate_workers_output`.
        decorate: bool,
    },
}

impl Source {
    /// Whether it is of the worker that has that slot, or had it before.
    #[must_use]
    pub fn is_of(&self, worker: WorkerKey) -> bool {
        matches!(self, Self::Worker { key, .. } if *key == worker)
    }
}

/// A pipe and the message that is not complete yet.
#[derive(Debug)]
pub struct Output {
    /// The reading end, non-blocking.
    pub fd: OwnedFd,
    /// Whose.
    pub source: Source,
    splitter: Splitter,
    message: Message,
    /// Bytes that were dropped and not told yet.
    dropped: u64,
    /// Something was read before.
    spoken: bool,
    /// What it has brought, as long as none of it is to be logged.
    held: Option<Kept>,
    /// Its writer has ended; who still has the other end is none of ours.
    pub ended: bool,
}

/// What came of looking at a pipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    /// The other side has closed it.
    pub closed: bool,
    /// A request has ended: what its worker wrote to its other stream is complete, too.
    pub request_ended: bool,
}

impl Output {
    /// A fresh pipe. `held`: what it brings is read, but not logged before `release`.
    #[must_use]
    pub fn new(fd: OwnedFd, source: Source, held: bool) -> Self {
        let (splitter, message) = (Splitter::default(), Message::default());
        let held = held.then(Kept::default);
        Self { fd, source, splitter, message, dropped: 0, spoken: false, held, ended: false }
    }

    /// Whether it isn't logged yet.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Logs what has come, as far as the group's `intake` allows it. `limit`: `log_limit`.
    pub fn relay(&mut self, limit: usize, intake: &mut Intake) -> Relayed {
        if let Some(held) = &mut self.held {
            let before = held.count();
            let closed = held.read(&self.fd);
            intake.read(clock::now(), held.count() - before);
            return Relayed { closed, request_ended: false };
        }
        let mut relayed = Relayed::default();
        let first = !self.spoken;
        let mut buffer = [0; TURN];
        for _ in 0..TURNS {
            match kept::look(&self.fd, &mut buffer) {
                Look::Bytes(bytes) => relayed.request_ended |= self.feed(bytes, limit, intake),
                Look::Nothing => break,
                Look::Closed => {
                    relayed.closed = true;
                    // php-fpm tells it only of one that ends with its first words.
                    self.finish(limit, first, intake);
                    self.settle();
                    break;
                }
            }
        }
        relayed
    }

    /// From now on it is logged, as is what it has brought before.
    pub fn release(&mut self, limit: usize, intake: &mut Intake) {
        let Some(held) = self.held.take() else { return };
        self.feed(&held.bytes, limit, intake);
        if held.more > 0 {
            self.dropped += held.more;
            self.finish(limit, false, intake);
        }
        // What comes with it belongs to its first words.
        self.spoken = false;
    }

    /// Whether a request ended in there.
    fn feed(&mut self, bytes: &[u8], limit: usize, intake: &mut Intake) -> bool {
        self.spoken = true;
        let now = clock::now();
        intake.read(now, bytes.len() as u64);
        if intake.is_full(now) {
            // What comes after the gap is no part of the line before it, which isn't for the log either.
            self.splitter.end(|_| ());
            self.dropped += self.message.forget() + bytes.len() as u64;
            return false;
        }
        let (form, stamp) = self.form(limit);
        let mut pen = Pen { source: &self.source, stamp, intake, dropped: &mut self.dropped };
        let message = &mut self.message;
        let mut request_ended = false;
        self.splitter.feed(bytes, |piece| match piece {
            Piece::Text(text) => message.add(text, &form, &mut |line, end| pen.write(line, end)),
            end => {
                request_ended |= end == Piece::Mark;
                message.end(&form, false, &mut |line, end| pen.write(line, end));
            }
        });
        request_ended
    }

    /// Logs what waits for its end. `closed`: and say that the pipe is.
    pub fn finish(&mut self, limit: usize, closed: bool, intake: &mut Intake) {
        let (form, stamp) = self.form(limit);
        let mut pen = Pen { source: &self.source, stamp, intake, dropped: &mut self.dropped };
        let message = &mut self.message;
        self.splitter.end(|piece| {
            if let Piece::Text(text) = piece {
                message.add(text, &form, &mut |line, end| pen.write(line, end));
            }
        });
        message.end(&form, closed, &mut |line, end| pen.write(line, end));
    }

    /// Logs what is left in the pipe of a writer that has ended.
    pub fn take_last_words(&mut self, limit: usize, intake: &mut Intake) {
        let held = self.is_held();
        let relayed = self.relay(limit, intake);
        self.release(limit, intake);
        // One that isn't held has said it all when it is found closed.
        if held || !relayed.closed {
            self.finish(limit, false, intake);
            self.settle();
        }
    }

    /// Tells in one line what had to be dropped.
    pub fn settle(&mut self) {
        let bytes = std::mem::take(&mut self.dropped);
        if bytes > 0 {
            log::warning(format!("{} wrote too much: {bytes} bytes dropped", self.writer()));
        }
    }

    /// The other stream of the same worker.
    #[must_use]
    pub fn is_beside(&self, other: &Source) -> bool {
        match (&self.source, other) {
            (
                Source::Worker { key, pid, stream, .. },
                Source::Worker { key: other_key, pid: other_pid, stream: other_stream, .. },
            ) => (key, pid) == (other_key, other_pid) && stream != other_stream,
            _ => false,
        }
    }

    fn writer(&self) -> String {
        match &self.source {
            Source::Zygote(group) | Source::Group { group, .. } => format!("[group {group}] zygote"),
            Source::Worker { pool, pid, .. } => format!("[pool {pool}] child {pid}"),
        }
    }

    /// How its lines look, and how many bytes the log puts in front of each.
    fn form(&self, limit: usize) -> (Form, usize) {
        if log::format() == Format::Json {
            return (Form::whole(), 0);
        }
        let prefix = match &self.source {
            Source::Zygote(_) | Source::Group { .. } => Some(format!("{} said: ", self.writer())),
            Source::Worker { pool, pid, stream, decorate: true, .. } if log::format() == Format::Classic => {
                Some(format!("child {pid} (pool {pool}) said into {stream}: "))
            }
            Source::Worker { stream, decorate: true, .. } => Some(format!("{} said into {stream}: ", self.writer())),
            Source::Worker { decorate: false, .. } => None,
        };
        let stamp = if prefix.is_some() { log::stamp_length(Level::Warning) } else { 0 };
        (Form { prefix, limit: limit.saturating_sub(stamp), characters: false }, stamp)
    }
}

/// Writes lines, as many as the log may grow by.
struct Pen<'a> {
    source: &'a Source,
    /// Bytes in front of each line.
    stamp: usize,
    intake: &'a mut Intake,
    dropped: &'a mut u64,
}

impl Pen<'_> {
    fn write(&mut self, line: &[u8], end: End) {
        let object = (log::format() == Format::Json).then(|| object::render(self.source, line, end));
        let length = self.stamp + object.as_ref().map_or(line, |(_, object)| object).len() + 1;
        if !self.intake.log(clock::now(), length as u64) {
            *self.dropped += line.len() as u64;
            return;
        }
        match (object, self.source) {
            (Some((level, object)), _) => log::object(level, &object),
            (None, Source::Worker { decorate: false, .. }) => log::raw(line),
            (None, _) => log::bytes(Level::Warning, line),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use nix::fcntl::OFlag;

    use super::*;

    #[test]
    fn last_words_are_whole_whether_they_were_held_or_not_and_whether_the_pipe_is_closed_or_not() {
        for (held, closed) in [(false, false), (false, true), (true, false), (true, true)] {
            let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("pipe");
            let mut write = File::from(write);
            let mut output = Output::new(read, Source::Zygote("www".to_owned()), held);
            write.write_all(b"no newline").expect("write");
            let writer = Some(write).filter(|_| !closed);
            output.take_last_words(1024, &mut Intake::default());
            assert!(output.message.is_empty() && !output.is_held(), "held {held}, closed {closed}");
            drop(writer);
        }
    }
}
