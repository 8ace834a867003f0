//! One pipe that a zygote or a worker writes to, and the message that is not complete yet.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::log::{self, Format, Level, messages::output as messages};
use crate::plan::budget::Intake;
use crate::supervisor::output::bounded::{self, Bounded, Look, Seen, TURN, TURNS};
use crate::supervisor::output::message::{End, Form, Message};
use crate::supervisor::output::object;
use crate::supervisor::output::splitter::{Piece, Splitter};
use crate::supervisor::output::writer::Writer;
use crate::sys::clock;
use crate::sys::peer_pipe::PeerPipe;

/// Bytes that were dropped, since `take_dropped` was called.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many bytes of all pipes were dropped since the last call.
pub(crate) fn take_dropped() -> u64 {
    DROPPED.swap(0, Ordering::Relaxed)
}

/// A pipe and the message that is not complete yet.
#[derive(Debug)]
pub(super) struct Pipe {
    /// The reading end.
    pub fd: PeerPipe,
    /// The process that writes to it.
    pub writer: Writer,
    splitter: Splitter,
    message: Message,
    /// Bytes that were dropped and not reported yet.
    dropped: u64,
    /// Something was read before.
    read_before: bool,
    /// The output so far, while logging is held back.
    held: Option<Bounded>,
    /// Its writer has ended. Another process may still have the other end.
    pub ended: bool,
}

/// The result of reading from a pipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Relayed {
    /// The other side has closed it.
    pub closed: bool,
    /// A request has ended: what its worker wrote to its other stream is complete, too.
    pub request_ended: bool,
    /// A process keeps it locked.
    pub locked: bool,
}

impl Pipe {
    /// A new pipe. `held`: its output is read, but not logged before `release`.
    #[must_use]
    pub(super) fn new(fd: OwnedFd, writer: Writer, held: bool) -> Self {
        let (splitter, message) = (Splitter::default(), Message::default());
        let held = held.then(Bounded::default);
        let fd = PeerPipe::new(fd, &writer.owner());
        Self { fd, writer, splitter, message, dropped: 0, read_before: false, held, ended: false }
    }

    /// Whether its output is not logged yet.
    #[must_use]
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Logs what it holds, as far as the group's `intake` allows it. `limit` is `log_limit`.
    pub(super) fn relay(&mut self, limit: usize, intake: &mut Intake) -> Relayed {
        if let Some(held) = &mut self.held {
            let before = held.count();
            let Seen { closed, locked } = held.read(&self.fd);
            intake.read(clock::now(), held.count() - before);
            return Relayed { closed, locked, request_ended: false };
        }
        let mut relayed = Relayed::default();
        let first = !self.read_before;
        let mut buffer = [0; TURN];
        for _ in 0..TURNS {
            match bounded::look(&self.fd, &mut buffer) {
                Look::Bytes(bytes) => relayed.request_ended |= self.feed(bytes, limit, intake),
                Look::Nothing => break,
                Look::Locked => {
                    relayed.locked = true;
                    break;
                }
                Look::Closed => {
                    relayed.closed = true;
                    // php-fpm mentions the end of the stream only if it comes with the first output.
                    self.finish(limit, first, intake);
                    self.report_dropped();
                    break;
                }
            }
        }
        relayed
    }

    /// Logs what was held, and from now on what comes.
    pub(super) fn release(&mut self, limit: usize, intake: &mut Intake) {
        let Some(held) = self.held.take() else { return };
        self.feed(&held.bytes, limit, intake);
        if held.more > 0 {
            self.dropped += held.more;
            self.finish(limit, false, intake);
        }
        // What is read next belongs to the first output.
        self.read_before = false;
    }

    /// Returns whether a request ended in these bytes.
    fn feed(&mut self, bytes: &[u8], limit: usize, intake: &mut Intake) -> bool {
        self.read_before = true;
        let now = clock::now();
        intake.read(now, bytes.len() as u64);
        if intake.is_full(now) {
            // The rest of the present line is dropped, too: what follows is no part of it.
            self.splitter.end(|_| ());
            self.dropped += self.message.forget() + bytes.len() as u64;
            return false;
        }
        let (form, stamp) = self.form(limit);
        let mut pen = Pen { writer: &self.writer, stamp, intake, dropped: &mut self.dropped };
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

    /// Logs an incomplete message as it is. `closed`: says that the pipe is closed.
    pub(super) fn finish(&mut self, limit: usize, closed: bool, intake: &mut Intake) {
        let (form, stamp) = self.form(limit);
        let mut pen = Pen { writer: &self.writer, stamp, intake, dropped: &mut self.dropped };
        let message = &mut self.message;
        self.splitter.end(|piece| {
            if let Piece::Text(text) = piece {
                message.add(text, &form, &mut |line, end| pen.write(line, end));
            }
        });
        message.end(&form, closed, &mut |line, end| pen.write(line, end));
    }

    /// Logs what is left in the pipe of a writer that has ended.
    pub(super) fn log_rest(&mut self, limit: usize, intake: &mut Intake) {
        let held = self.is_held();
        let relayed = self.relay(limit, intake);
        self.release(limit, intake);
        // `relay` has logged everything of a pipe that is not held and closed.
        if held || !relayed.closed {
            self.finish(limit, false, intake);
            self.report_dropped();
        }
    }

    /// Logs in one line how much was dropped.
    pub(super) fn report_dropped(&mut self) {
        let bytes = std::mem::take(&mut self.dropped);
        if bytes > 0 {
            DROPPED.fetch_add(bytes, Ordering::Relaxed);
            log::say(&match &self.writer {
                Writer::Base { pid } => messages::base_output_dropped(pid, bytes),
                Writer::Monitor { pid } => messages::monitor_output_dropped(pid, bytes),
                Writer::Zygote(group) | Writer::Group { group, .. } => messages::zygote_output_dropped(group, bytes),
                Writer::Worker { pool, pid, .. } => messages::worker_output_dropped(pool, pid, bytes),
            });
        }
    }

    /// How its lines are written, and how many bytes the log puts in front of each.
    fn form(&self, limit: usize) -> (Form, usize) {
        if log::format() == Format::Json {
            return (Form::whole(), 0);
        }
        let prefix = self.writer.prefix();
        let stamp = if prefix.is_some() { log::stamp_length(Level::Warning) } else { 0 };
        (Form { prefix, limit: limit.saturating_sub(stamp), characters: false }, stamp)
    }
}

/// Writes lines to the log, as many as the group's budget allows.
struct Pen<'a> {
    writer: &'a Writer,
    /// Bytes in front of each line.
    stamp: usize,
    intake: &'a mut Intake,
    dropped: &'a mut u64,
}

impl Pen<'_> {
    fn write(&mut self, line: &[u8], end: End) {
        let object = (log::format() == Format::Json).then(|| object::render(self.writer, line, end));
        let length = self.stamp + object.as_ref().map_or(line, |(_, object)| object).len() + 1;
        if !self.intake.log(clock::now(), length as u64) {
            *self.dropped += line.len() as u64;
            return;
        }
        match object {
            Some((level, object)) => log::object(level, &object),
            None if self.writer.is_undecorated() => log::raw(line),
            None => log::bytes(Level::Warning, line, None),
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
    fn the_rest_is_logged_whether_it_was_held_or_not_and_whether_the_pipe_is_closed_or_not() {
        for (held, closed) in [(false, false), (false, true), (true, false), (true, true)] {
            let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("pipe");
            let mut write = File::from(write);
            let mut pipe = Pipe::new(read, Writer::Zygote("www".to_owned()), held);
            write.write_all(b"no newline").expect("write");
            let writer = Some(write).filter(|_| !closed);
            pipe.log_rest(1024, &mut Intake::default());
            assert!(pipe.message.is_empty() && !pipe.is_held(), "held {held}, closed {closed}");
            drop(writer);
        }
    }
}
