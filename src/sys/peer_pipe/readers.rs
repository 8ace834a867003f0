//! The child that reads, the one that closes, and those that wait for a lock.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::closer::Closer;
use super::pipe::{Label, PATIENCE, Pipe};
use super::reader::{Answer, Reader};
use super::unlock;
use crate::sys::clock::{self, Moment};

/// So many locked pipes of an owner are waited for, one after the other. Meanwhile its other pipes are not read.
const MOST_LOCKED: usize = 2;
/// Until this is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// How often the children that wait are looked after.
const TURN: Duration = Duration::from_millis(100);

/// A read that a child has begun and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Away(u64);

/// The result of a read.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(io::Result<usize>),
    Away(Away),
    /// No child can be started, or too many pipes of the owner are locked.
    NoReader,
}

/// A child that waits for a lock to read.
#[derive(Debug)]
struct Stuck {
    reader: Reader,
    pipe: Label,
    /// When to unlock the pipe by force.
    due: Moment,
    /// Nothing takes its answer.
    forgotten: bool,
}

/// All children that read and close pipes.
#[derive(Debug, Default)]
pub(super) struct Readers {
    enabled: bool,
    reader: Option<Reader>,
    stuck: BTreeMap<Away, Stuck>,
    last: u64,
    closer: Option<Closer>,
    stuck_closers: Vec<Closer>,
    /// When to look after those that wait.
    next: Option<Moment>,
}

impl Readers {
    pub(super) fn enable(&mut self) {
        self.enabled = true;
        // Where one cannot be forked now, it is when there is work for it.
        self.reader = Reader::start().ok();
        self.closer = Closer::start();
    }

    /// Reads from a pipe.
    pub(super) fn read(&mut self, pipe: Pipe<'_>, buffer: &mut [u8]) -> Outcome {
        if !self.enabled {
            return Outcome::Done(nix::unistd::read(pipe.fd, buffer).map_err(Into::into));
        }
        self.order(pipe, |reader| reader.order_read(pipe.fd), buffer)
    }

    /// Waits for the lock of a pipe.
    pub(super) fn probe(&mut self, pipe: Pipe<'_>) -> Outcome {
        if !self.enabled {
            return Outcome::NoReader;
        }
        self.order(pipe, |reader| reader.order_probe(pipe.fd), &mut [])
    }

    fn order(&mut self, pipe: Pipe<'_>, order: impl Fn(&Reader) -> io::Result<()>, buffer: &mut [u8]) -> Outcome {
        let locked = self.stuck.values().filter(|stuck| stuck.pipe.owner == pipe.owner).count();
        if locked >= MOST_LOCKED {
            return Outcome::NoReader;
        }
        let Some(reader) = self.reader.take().or_else(|| Reader::start().ok()) else { return Outcome::NoReader };
        if order(&reader).is_err() {
            return Outcome::NoReader;
        }
        match reader.wait(buffer) {
            Answer::Read(result) => {
                self.reader = Some(reader);
                Outcome::Done(result)
            }
            Answer::Nothing => Outcome::Away(self.set_aside(reader, pipe.label())),
            Answer::Closed | Answer::Gone => Outcome::NoReader,
        }
    }

    fn set_aside(&mut self, reader: Reader, pipe: Label) -> Away {
        self.last += 1;
        let key = Away(self.last);
        self.stuck.insert(key, Stuck { reader, pipe, due: clock::now() + PATIENCE, forgotten: false });
        key
    }

    /// Asks whether a read is finished.
    pub(super) fn collect(&mut self, key: Away, buffer: &mut [u8]) -> Outcome {
        let Some(stuck) = self.stuck.get(&key) else { return Outcome::NoReader };
        let outcome = match stuck.reader.look(buffer) {
            Answer::Nothing | Answer::Closed => return Outcome::Away(key),
            Answer::Read(result) => Outcome::Done(result),
            Answer::Gone => Outcome::NoReader,
        };
        if let (Some(stuck), Outcome::Done(_)) = (self.stuck.remove(&key), &outcome) {
            // If there is another one by now, this one ends.
            self.reader.get_or_insert(stuck.reader);
        }
        outcome
    }

    /// The pipe of a read that is not finished is closed.
    pub(super) fn give_up(&mut self, key: Away) {
        if let Some(stuck) = self.stuck.get_mut(&key) {
            stuck.reader.kill();
            stuck.forgotten = true;
        }
    }

    /// Gives a child a pipe that it closes after `release`. False: it has not got it.
    pub(super) fn hold(&mut self, pipe: Pipe<'_>) -> bool {
        for _ in 0..2 {
            let Some(mut closer) = self.closer.take().or_else(|| self.enabled.then(Closer::start)?) else {
                return false;
            };
            if closer.hold(pipe.fd, pipe.label()) {
                self.closer = Some(closer);
                return true;
            }
            self.stuck_closers.push(closer);
        }
        false
    }

    /// This process has closed the pipe that the child holds.
    pub(super) fn release(&mut self) {
        if let Some(closer) = &mut self.closer {
            closer.close();
        }
    }

    /// When to call `tend`.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let busy = self.closer.as_ref().is_some_and(|closer| !closer.is_idle());
        let waits = busy || !self.stuck.is_empty() || !self.stuck_closers.is_empty();
        self.next.filter(|_| waits)
    }

    /// Looks after children that wait for a lock, and returns the owners of pipes that are unlocked by force.
    pub(super) fn tend(&mut self) -> Vec<String> {
        let now = clock::now();
        if self.next.is_some_and(|next| now < next) {
            return Vec::new();
        }
        self.next = Some(now + TURN);
        self.stuck.retain(|_, stuck| !(stuck.forgotten && matches!(stuck.reader.look(&mut []), Answer::Gone)));
        let mut owners = Vec::new();
        for stuck in self.stuck.values_mut().filter(|stuck| stuck.due <= now) {
            stuck.due = now + AGAIN;
            owners.extend(unlock(&stuck.pipe));
        }
        self.tend_closers(now, &mut owners);
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    fn tend_closers(&mut self, now: Moment, owners: &mut Vec<String>) {
        self.stuck_closers.retain_mut(|closer| closer.look() && !closer.is_idle());
        if let Some(mut closer) = self.closer.take()
            && closer.look()
        {
            match closer.locked(now) {
                Some(_) => self.stuck_closers.push(closer),
                None => self.closer = Some(closer),
            }
        }
        for closer in &mut self.stuck_closers {
            if let Some(pipe) = closer.locked(now) {
                owners.extend(unlock(pipe));
                closer.wait_until(now + AGAIN);
            }
        }
    }
}

fn unlock(pipe: &Label) -> Option<String> {
    unlock::start(pipe.inode).ok().map(|()| pipe.owner.clone())
}
