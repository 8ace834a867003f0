//! All pipes of captured output, from the start of a process until its pipes are closed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::log::{self, messages::output as messages};
use crate::plan::fleet::{GenerationId, WorkerKey};
use crate::supervisor::output::intakes::Intakes;
use crate::supervisor::output::pipe::Pipe;
use crate::supervisor::output::writer::Writer;
use crate::supervisor::poller::Poller;
use crate::sys::clock::{self, Moment};
use crate::sys::{fd, peer_pipe};

/// A pipe that could not be watched is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// The pipes that zygotes and workers write to, and what is still to be logged of them.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// By poller token. A later pipe has a larger token.
    pub(super) pipes: HashMap<u64, Pipe>,
    pub(super) intakes: Intakes,
    /// Pipes of groups that have written too much in this second, by token, and when they are read again.
    pub(super) paused: BTreeMap<u64, Moment>,
    /// Pipes of processes that have ended, by token, and when they are closed; the earliest first.
    pub(super) closing: VecDeque<(Moment, u64)>,
    /// `log_limit`: most bytes of a line.
    pub(super) limit: usize,
}

impl Outputs {
    /// None yet. `limit` is `log_limit`.
    #[must_use]
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            pipes: HashMap::new(),
            intakes: Intakes::default(),
            paused: BTreeMap::new(),
            closing: VecDeque::new(),
            limit,
        }
    }

    /// Sets `log_limit`.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// A generation has been made of groups with these names.
    pub(crate) fn add_generation<'a>(&mut self, generation: GenerationId, groups: impl Iterator<Item = &'a str>) {
        self.intakes.add(generation, groups);
    }

    /// A generation has no process left.
    pub(crate) fn forget_generation(&mut self, generation: GenerationId) {
        self.intakes.forget(generation);
    }

    /// Reads from that pipe from now on. Its output is logged at once, or, if `held`, after `release`.
    pub(crate) fn add(&mut self, poller: &mut Poller, fd: OwnedFd, writer: Writer, held: bool) {
        let pipe = Pipe::new(fd, writer, held);
        match poller.add_output(&pipe.fd) {
            Ok(token) => drop(self.pipes.insert(token, pipe)),
            Err(e) => log::say(&messages::output_not_watched(e)),
        }
    }

    /// Makes pipes for the stdout and stderr of a worker that is about to be forked and returns the ends that it gets. Those of
    /// the worker that had the slot before are closed.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub(crate) fn catch(
        &mut self,
        poller: &mut Poller,
        key: WorkerKey,
        pool: &str,
        decorate: bool,
        held: bool,
    ) -> io::Result<Vec<OwnedFd>> {
        self.close_slot(poller, key);
        let mut theirs = Vec::new();
        for stream in ["stdout", "stderr"] {
            let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
            fd::set_nonblocking(&read, true)?;
            let (pool, stream) = (pool.to_owned(), stream.to_owned());
            self.add(poller, read, Writer::Worker { key, pool, pid: 0, stream, decorate }, held);
            theirs.push(write);
        }
        Ok(theirs)
    }

    /// The worker that got the slot's pipes has this pid.
    pub(crate) fn set_pid(&mut self, worker: WorkerKey, pid: i32) {
        for pipe in self.pipes.values_mut() {
            if let Writer::Worker { key, pid: known, .. } = &mut pipe.writer
                && *known == 0
                && *key == worker
            {
                *known = pid;
            }
        }
    }

    /// Finds out whether a process keeps a pipe of these writers locked.
    pub(crate) fn probe(&self, is_meant: impl Fn(&Writer) -> bool) {
        self.pipes.values().filter(|pipe| is_meant(&pipe.writer)).for_each(|pipe| pipe.fd.probe());
    }

    /// Logs what that pipe holds, or pauses it if its group has written too much in this second.
    pub(crate) fn relay(&mut self, poller: &mut Poller, token: u64) {
        let (limit, now) = (self.limit, clock::now());
        let Some(pipe) = self.pipes.get_mut(&token) else { return };
        let intake = self.intakes.of(&pipe.writer);
        if let Some(again) = intake.rests(now) {
            // The rest waits in the pipe, and its writer with it.
            if self.paused.insert(token, again).is_none() {
                poller.pause_output(&pipe.fd);
            }
            return;
        }
        let relayed = pipe.relay(limit, intake);
        if relayed.locked && self.paused.insert(token, now + peer_pipe::PAUSE).is_none() {
            poller.pause_output(&pipe.fd);
        }
        if relayed.closed {
            poller.remove(&pipe.fd, token);
        }
        if pipe.is_held() {
            return;
        }
        if relayed.request_ended {
            let writer = pipe.writer.clone();
            for other in self.pipes.values_mut().filter(|other| other.writer.is_other_stream_of(&writer)) {
                other.relay(limit, intake);
                other.finish(limit, false, intake);
            }
        }
        if relayed.closed {
            self.pipes.remove(&token);
        }
    }

    /// Reads paused pipes again whose second is over.
    pub(crate) fn resume(&mut self, poller: &mut Poller) {
        let now = clock::now();
        let due: Vec<u64> = self.paused.iter().filter(|(_, at)| **at <= now).map(|(token, _)| *token).collect();
        for token in due {
            self.paused.remove(&token);
            let Some(pipe) = self.pipes.get(&token) else { continue };
            if let Err(e) = poller.resume_output(&pipe.fd, token) {
                log::say(&messages::output_not_watched(e));
                self.paused.insert(token, now + RETRY);
            }
        }
    }

    /// Logs what workers have written while their generation started, in the order in which the workers were made.
    pub(crate) fn release(&mut self, poller: &mut Poller) {
        self.release_those(poller, |_| true);
    }

    /// The same for some workers.
    pub(crate) fn release_those(&mut self, poller: &mut Poller, which: impl Fn(WorkerKey) -> bool) {
        let is_one = |writer: &Writer| !matches!(writer, Writer::Worker { key, .. } if !which(*key));
        let held = self.pipes.iter().filter(|(_, pipe)| pipe.is_held() && is_one(&pipe.writer));
        let mut held: Vec<u64> = held.map(|(token, _)| *token).collect();
        held.sort_unstable();
        for token in held {
            if let Some(pipe) = self.pipes.get_mut(&token) {
                pipe.release(self.limit, self.intakes.of(&pipe.writer));
            }
            // A pipe that is closed already is found to be.
            self.relay(poller, token);
        }
    }

    /// Logs what pipes hold by now, so that it stands before what is logged next.
    pub(crate) fn drain(&mut self, poller: &mut Poller) {
        let tokens: Vec<u64> = self.pipes.keys().copied().collect();
        tokens.into_iter().for_each(|token| self.relay(poller, token));
    }

    /// The same for the pipes of some processes.
    pub(crate) fn drain_of(&mut self, poller: &mut Poller, is_meant: impl Fn(&Writer) -> bool) {
        let meant = self.pipes.iter().filter(|(_, pipe)| is_meant(&pipe.writer));
        let tokens: Vec<u64> = meant.map(|(token, _)| *token).collect();
        tokens.into_iter().for_each(|token| self.relay(poller, token));
    }

    /// Logs lines that are not complete as they are, because another program takes the pipes over.
    pub(crate) fn finish(&mut self) {
        for pipe in self.pipes.values_mut() {
            pipe.finish(self.limit, false, self.intakes.of(&pipe.writer));
            pipe.report_dropped();
        }
    }

    /// Logs how much had to be dropped in the last second.
    pub(crate) fn report_dropped(&mut self) {
        self.pipes.values_mut().for_each(Pipe::report_dropped);
    }

    /// When to close the next pipe, or to read it again.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let closing = self.closing.front().map(|(at, _)| *at);
        self.paused.values().copied().chain(closing).min()
    }

    /// Pipes and their writers, for the next image.
    #[must_use]
    pub(crate) fn state(&self) -> Vec<(RawFd, Writer)> {
        // The next image starts a monitor of its own, and a former version knows none.
        let kept = self.pipes.values().filter(|pipe| !matches!(pipe.writer, Writer::Monitor { .. }));
        kept.map(|pipe| (pipe.fd.as_raw_fd(), pipe.writer.clone())).collect()
    }
}
