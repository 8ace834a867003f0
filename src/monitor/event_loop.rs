//! The monitor's event loop.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::abandoned::Watch;
use super::answer::Answers;
use super::connection::{Connection, Waits};
use super::views::Views;
use crate::ipc::{Channel, Incoming, ToMonitor};
use crate::sys::clock::{self, Moment};
use crate::sys::listen;

const LISTENER: u64 = 0;
const VIEWS: u64 = 1;
const FIRST: u64 = 2;

/// The most bytes of answers that clients have not taken, of all together. Beyond that the oldest of these connections ends.
const UNSENT: usize = 32 << 20;
/// Connections accepted in one turn.
const AT_ONCE: usize = 32;
/// So long clients wait at most for a supervisor that does not tell which pools there are.
const UNTOLD: Duration = Duration::from_secs(1);
/// After the supervisor has closed its way of messages, answers may be sent for so long.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the loop waits for.
pub(super) struct EventLoop {
    epoll: Epoll,
    listener: OwnedFd,
    messages: Channel<(), ToMonitor>,
    views: Views,
    answers: Answers,
    /// By token, so the oldest is the first.
    connections: BTreeMap<u64, Connection>,
    most: usize,
    last: u64,
    /// When connections are accepted, unless they are by now.
    accepts: Option<Moment>,
    /// The loop ends then.
    end: Option<Moment>,
    /// Whether the next image of the supervisor knows this process.
    watch: Watch,
}

impl EventLoop {
    pub(super) fn new(
        listener: OwnedFd,
        messages: Channel<(), ToMonitor>,
        views: Views,
        answers: Answers,
        most: usize,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&messages, EpollEvent::new(EpollFlags::EPOLLIN, VIEWS))?;
        let (connections, accepts) = (BTreeMap::new(), Some(clock::now() + UNTOLD));
        let (last, end, watch) = (FIRST, None, Watch::default());
        Ok(Self { epoll, listener, messages, views, answers, connections, most, last, accepts, end, watch })
    }

    pub(super) fn run(mut self) -> io::Result<()> {
        loop {
            let now = clock::now();
            self.connections.retain(|_, connection| connection.until > now);
            self.begin_to_accept(now)?;
            self.answers.sample(&mut self.views, now);
            if self.end.is_some_and(|end| end <= now || self.connections.is_empty()) {
                return Ok(());
            }
            if self.watch.is_abandoned(&self.views.service, now) {
                // Nobody would answer what waits there.
                listen::refuse(&self.listener);
                return Ok(());
            }
            let mut events = [EpollEvent::empty(); 64];
            let count = match self.epoll.wait(&mut events, self.patience(now)) {
                Err(Errno::EINTR) => 0,
                other => other?,
            };
            for event in events.iter().take(count) {
                match event.data() {
                    LISTENER => self.accept()?,
                    VIEWS => self.hear()?,
                    token => self.advance(token),
                }
            }
        }
    }

    fn patience(&self, now: Moment) -> EpollTimeout {
        let times = self.connections.values().map(|connection| connection.until);
        let others = [self.accepts, self.end, self.answers.sample_due(), self.watch.until()];
        let due = times.chain(others.into_iter().flatten()).min();
        due.map_or(EpollTimeout::NONE, |due| {
            EpollTimeout::try_from(clock::millis(due.since(now)) + 1).unwrap_or(EpollTimeout::MAX)
        })
    }

    /// Clients wait in the queue of the socket until all pools were told: after a start, a pool must not seem to be missing.
    fn begin_to_accept(&mut self, now: Moment) -> io::Result<()> {
        let complete = self.views.complete;
        if self.accepts.take_if(|at| complete || *at <= now).is_some() {
            self.epoll.add(&self.listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..AT_ONCE {
            let fd = match listen::accept(&self.listener) {
                Ok(Some(fd)) => fd,
                Ok(None) => return Ok(()),
                // No descriptor, or no memory.
                Err(_) => {
                    self.connections.pop_first();
                    return Ok(());
                }
            };
            // A client that sends nothing must not keep others away.
            if self.connections.len() >= self.most {
                self.connections.pop_first();
            }
            self.last += 1;
            if self.epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, self.last)).is_err() {
                continue;
            }
            self.connections.insert(self.last, Connection::new(fd, clock::now()));
            // Its request has arrived already, mostly.
            self.advance(self.last);
        }
        Ok(())
    }

    fn advance(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let flags = match connection.advance(&mut self.answers, &mut self.views, clock::now()) {
            Waits::ToReceive => EpollFlags::EPOLLIN,
            Waits::ToSend => EpollFlags::EPOLLOUT,
            Waits::No => {
                self.connections.remove(&token);
                return;
            }
        };
        let mut event = EpollEvent::new(flags, token);
        if self.epoll.modify(&*connection, &mut event).is_err() {
            self.connections.remove(&token);
        }
        self.limit_unsent(token);
    }

    /// Ends connections whose clients do not take their answers, if there are too many. Not the one that was just served.
    fn limit_unsent(&mut self, present: u64) {
        while self.connections.values().map(Connection::unsent).sum::<usize>() > UNSENT {
            let slow = self.connections.iter().filter(|(token, one)| **token != present && one.unsent() > 0);
            let Some(oldest) = slow.map(|(token, _)| *token).min() else { return };
            self.connections.remove(&oldest);
        }
    }

    /// Takes messages of the supervisor.
    fn hear(&mut self) -> io::Result<()> {
        loop {
            match self.messages.receive() {
                Incoming::Message(ToMonitor::Executing, _) => self.watch.begin(&self.views.service, clock::now()),
                Incoming::Message(message, fds) => self.views.take(message, &fds)?,
                Incoming::Nothing => return Ok(()),
                Incoming::Nonsense => return Err(io::Error::other("the supervisor has sent no message")),
                Incoming::Gone => {
                    let _ = (self.epoll.delete(&self.messages), self.epoll.delete(&self.listener));
                    self.end = Some(clock::now() + FAREWELL);
                    self.accepts = None;
                    self.answers.leaving = true;
                    return Ok(());
                }
            }
        }
    }
}
