//! The epoll set of a worker: listening sockets, the hand-over queue, the drain signal, its zygote's channel, and the
//! connections that it keeps.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What has woken the worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Woken {
    /// A bit for each listening socket with a connection in its backlog, by index. Sockets above number 31 share the
    /// last bit.
    pub listeners: u32,
    /// The hand-over queue has a message.
    pub queue: bool,
    /// The generation drains.
    pub drain: bool,
    /// The zygote has sent a message, or has gone.
    pub control: bool,
    /// A bit for each kept connection that has bytes or was closed, by its place.
    pub kept: u64,
    /// A signal has interrupted the wait.
    pub signal: bool,
}

const QUEUE: u64 = 1;
const DRAIN: u64 = 2;
const CONTROL: u64 = 3;
const LISTENER: u64 = 16;
const KEPT: u64 = 1 << 32;

/// The epoll set.
#[derive(Debug)]
pub(super) struct Sources {
    epoll: Epoll,
    last_in_line: Cell<bool>,
    /// Stays open, because an epoll set forgets closed descriptors.
    _drain: OwnedFd,
}

impl Sources {
    /// Makes the set. A connection on a socket or in the queue wakes only one of the sleeping workers
    /// (EPOLLEXCLUSIVE).
    ///
    /// # Errors
    /// `EMFILE`.
    pub(super) fn new(
        listeners: &[OwnedFd],
        queue: &OwnedFd,
        drain: OwnedFd,
        control: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&drain, EpollEvent::new(EpollFlags::EPOLLIN, DRAIN))?;
        epoll.add(control, EpollEvent::new(EpollFlags::EPOLLIN, CONTROL))?;
        let sources = Self { epoll, last_in_line: Cell::new(false), _drain: drain };
        sources.add_shared(listeners, queue)?;
        Ok(sources)
    }

    fn add_shared(&self, listeners: &[OwnedFd], queue: &OwnedFd) -> io::Result<()> {
        let exclusive = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        self.epoll.add(queue, EpollEvent::new(exclusive, QUEUE))?;
        for (token, listener) in (LISTENER..).zip(listeners) {
            self.epoll.add(listener, EpollEvent::new(exclusive, token))?;
        }
        Ok(())
    }

    /// Adds a kept connection, with its place.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(super) fn add(&self, kept: BorrowedFd<'_>, place: usize) -> io::Result<()> {
        let token = KEPT + place as u64;
        Ok(self.epoll.add(kept, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, token))?)
    }

    /// Removes a kept connection. Called before it is closed or given away, because its file description may stay open in
    /// another process.
    pub(super) fn remove(&self, kept: BorrowedFd<'_>) {
        let _ = self.epoll.delete(kept);
    }

    /// Moves this worker to the end of the wake-up order, which is the order of registration, so that workers without
    /// a connection are woken first.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn go_last(&self, listeners: &[OwnedFd], queue: &OwnedFd) -> io::Result<()> {
        if self.last_in_line.get() {
            return Ok(());
        }
        for shared in listeners.iter().chain([queue]) {
            self.epoll.delete(shared)?;
        }
        self.last_in_line.set(true);
        self.add_shared(listeners, queue)
    }

    /// The next `go_last` moves the worker again: others may have moved to the end since.
    pub(super) fn forget_place(&self) {
        self.last_in_line.set(false);
    }

    /// Waits for up to `patience`. If nothing is set in the result, that time has passed.
    ///
    /// # Errors
    /// None in practice.
    pub(super) fn wait(&self, patience: Option<Duration>) -> io::Result<Woken> {
        let mut events = [EpollEvent::empty(); 16];
        let patience = patience.map_or(EpollTimeout::NONE, |p| EpollTimeout::try_from(p).unwrap_or(EpollTimeout::MAX));
        let mut woken = Woken::default();
        let count = match self.epoll.wait(&mut events, patience) {
            Err(Errno::EINTR) => {
                woken.signal = true;
                0
            }
            other => other?,
        };
        for event in &events[..count] {
            match event.data() {
                QUEUE => woken.queue = true,
                DRAIN => woken.drain = true,
                CONTROL => woken.control = true,
                token if token >= KEPT => woken.kept |= 1 << (token - KEPT).min(63),
                token => woken.listeners |= 1 << (token - LISTENER).min(31),
            }
        }
        Ok(woken)
    }
}

/// The listening sockets that a `Woken` names.
pub(super) fn named<'a>(listeners: &'a [OwnedFd], woken: &Woken) -> impl Iterator<Item = BorrowedFd<'a>> + use<'a> {
    let bits = woken.listeners;
    listeners.iter().enumerate().filter(move |(i, _)| bits & (1 << (*i).min(31)) != 0).map(|(_, l)| l.as_fd())
}
