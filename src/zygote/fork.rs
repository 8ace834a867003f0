//! Forks a worker. The parent registers it; the child keeps what a worker needs and drops the rest.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use nix::unistd::{Pid, getpid, getppid};

use super::children::{Child, Reported};
use super::event_source::EventSource;
use super::pool::ZygotePool;
use super::state::Zygote;
use crate::ipc::{Channel, ToSupervisor, ToWorker, WorkerQueues, WorkerSays};
use crate::scoreboard::{Scoreboard, Slot, Totals};
use crate::sys::process::Forked;
use crate::sys::{clock, fd, message, signal, single_threaded};
use crate::worker::{WorkerSpec, tracker::ShownPool};

/// Workers that a zygote forks in this time are those of its start. They do not warm up: many groups may start at the same time, and
/// the processor is needed for that.
const START: Duration = Duration::from_millis(500);

/// A child directly after the fork: which worker it will be.
#[derive(Debug)]
pub(super) struct ForkedWorker {
    pool: usize,
    control: OwnedFd,
    output: Option<(OwnedFd, OwnedFd)>,
    tracer: Option<(OwnedFd, OwnedFd)>,
    parent: Pid,
    supervisor: Pid,
    place: Slot,
    end: &'static AtomicU64,
    shown: Option<ShownPool>,
}

impl Zygote {
    pub(super) fn fork(&mut self, pool: usize, slot: u32, traced: bool, mut fds: Vec<OwnedFd>) -> Option<ForkedWorker> {
        let tracer = self.ways_of_tracer(traced, &mut fds);
        match self.try_fork(pool, slot, tracer, fds) {
            Ok(forked) => forked,
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(libc::EAGAIN);
                self.report(&ToSupervisor::ForkFailed { pool, slot, errno });
                None
            }
        }
    }

    /// The descriptors for the questions and answers of a tracer. A supervisor of an older version passes one socket
    /// for both; it is closed, which tells the supervisor that there is no tracer.
    fn ways_of_tracer(&self, traced: bool, fds: &mut Vec<OwnedFd>) -> Option<(OwnedFd, OwnedFd)> {
        let answer = if traced { fds.pop() } else { None }?;
        if self.former { None } else { fds.pop().map(|question| (question, answer)) }
    }

    fn try_fork(
        &mut self,
        pool: usize,
        slot: u32,
        tracer: Option<(OwnedFd, OwnedFd)>,
        mut fds: Vec<OwnedFd>,
    ) -> io::Result<Option<ForkedWorker>> {
        let p = self.pools.get(pool).ok_or(io::ErrorKind::InvalidInput)?;
        let scoreboard = Scoreboard::map(p.scoreboard_fd.as_fd(), p.spec.slots)?;
        scoreboard.reset(slot);
        let place = Slot::new(scoreboard, Totals::map(p.totals.as_fd())?, slot);
        // A signal handler reads this mapping until the worker's end, so it is never unmapped.
        let kept = Scoreboard::map(p.scoreboard_fd.as_fd(), p.spec.slots)?;
        let shown = self.shown(p)?;
        let (ours, theirs) = message::pair()?;
        let (parent, supervisor) = (getpid(), getppid());
        match fork_blocked()? {
            Forked::Child => {
                let end = Box::leak(Box::new(kept)).end(slot);
                let output = fds.pop().and_then(|err| fds.pop().map(|out| (out, err)));
                let (control, tracer) =
                    (fd::lift(theirs), tracer.map(|(question, answer)| (fd::lift(question), fd::lift(answer))));
                Ok(Some(ForkedWorker { pool, control, output, tracer, parent, supervisor, place, end, shown }))
            }
            Forked::Parent(pid) => {
                let channel: Channel<ToWorker, WorkerSays> = Channel::new(ours);
                let source = EventSource::Worker(u32::try_from(pid.as_raw()).unwrap_or(0));
                self.epoll.add(
                    &channel,
                    nix::sys::epoll::EpollEvent::new(nix::sys::epoll::EpollFlags::EPOLLIN, source.pack()),
                )?;
                self.children.insert(pid, Child { pool, slot, reported: Reported::default(), channel: Some(channel) });
                self.report(&ToSupervisor::Forked { pool, slot, pid: pid.as_raw() });
                Ok(None)
            }
        }
    }
}

/// Forks with all signals blocked. They stay blocked in the child until its set-up has installed handlers: a signal
/// that is meant for the supervisor must not end a worker that is being set up.
fn fork_blocked() -> io::Result<Forked> {
    let mask = signal::block_all()?;
    let forked = single_threaded::fork();
    if !matches!(forked, Ok(Forked::Child)) {
        signal::set_mask(&mask)?;
    }
    forked
}

impl Zygote {
    /// The pool that the status page of `pool` shows, if it isn't its own (`pm.status_listen`). Both are in one
    /// group.
    fn shown(&self, pool: &ZygotePool) -> io::Result<Option<ShownPool>> {
        let Some(name) = &pool.spec.config.status_of else { return Ok(None) };
        let Some(shown) = self.pools.iter().find(|p| p.spec.config.name == *name) else { return Ok(None) };
        Ok(Some(ShownPool {
            scoreboard: Scoreboard::map(shown.scoreboard_fd.as_fd(), shown.spec.slots)?,
            totals: Totals::map(shown.totals.as_fd())?,
            name: name.clone(),
            manager: shown.spec.config.pm,
            queue: shown.queue.1.try_clone().map(fd::lift)?,
        }))
    }
}

impl ForkedWorker {
    /// Makes the worker's specification and drops the zygote's state: parked connections, sockets of other pools,
    /// channels.
    pub(super) fn into_spec(self, mut zygote: Zygote) -> Box<WorkerSpec> {
        let pool = zygote.pools.swap_remove(self.pool);
        let (queue_in, queue) = pool.queue;
        Box::new(WorkerSpec {
            identity: pool.spec.identity,
            environment: pool.spec.environment,
            pool: pool.spec.config,
            listeners: pool.listeners,
            queues: WorkerQueues { queue: Rc::new(queue), queue_in, park: pool.park.0 },
            control: Channel::new(self.control),
            drain: zygote.drain,
            slot: self.place,
            // A signal handler of the worker uses it until its end.
            holders: Box::leak(Box::new(pool.holders)),
            end: self.end,
            shown: self.shown,
            output: self.output,
            tracer: self.tracer,
            access_log: pool.access_log,
            null: zygote.null,
            place: pool.place,
            nofile: zygote.nofile,
            processes: zygote.processes,
            parent: self.parent,
            supervisor: self.supervisor,
            graceful: zygote.graceful,
            born: zygote.ready_at.unwrap_or_default(),
            group: zygote.group,
            warms_up: zygote.ready_at.is_some_and(|ready| clock::now().since(ready) > START),
        })
    }
}
