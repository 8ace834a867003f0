//! The epoll set of a worker: listening sockets, the hand-over queue, the drain signal, its zygote's channel, and the
//! connections that it holds or retains.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
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
    /// The held connection has bytes, or was closed.
    pub held: bool,
    /// A bit for each retained connection that has bytes, or was closed.
    pub retained: u32,
    /// A signal has interrupted the wait.
    pub signal: bool,
}

const QUEUE: u64 = 1;
const DRAIN: u64 = 2;
const CONTROL: u64 = 3;
const HELD: u64 = 4;
const LISTENER: u64 = 16;
/// A retained connection: this and its place.
const RETAINED: u64 = 1 << 32;
/// More than the sources of most workers: the kernel returns others the next time.
const EVENTS: usize = 40;

/// The epoll set.
#[derive(Debug)]
pub(super) struct Sources {
    epoll: Rc<Epoll>,
    listed: bool,
    last_in_line: bool,
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
        drain: &OwnedFd,
        control: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let epoll = Rc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        epoll.add(drain, EpollEvent::new(EpollFlags::EPOLLIN, DRAIN))?;
        epoll.add(control, EpollEvent::new(EpollFlags::EPOLLIN, CONTROL))?;
        let sources = Self { epoll, listed: false, last_in_line: false };
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

    /// The set.
    #[must_use]
    pub(super) fn epoll(&self) -> &Rc<Epoll> {
        &self.epoll
    }

    /// Whether the held connection is in the set.
    #[must_use]
    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }

    /// Adds the held connection to the set.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(super) fn list(&mut self, held: BorrowedFd<'_>) -> io::Result<()> {
        if !self.listed {
            self.epoll.add(held, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, HELD))?;
            self.listed = true;
        }
        Ok(())
    }

    /// Removes the held connection from the set. Called before it is closed or given away, because its file
    /// description may stay open in another process.
    pub(super) fn unlist(&mut self, held: Option<BorrowedFd<'_>>) {
        if let Some(held) = held.filter(|_| self.listed) {
            let _ = self.epoll.delete(held);
        }
        self.listed = false;
    }

    /// The held connection is a retained one now.
    pub(super) fn forget_held(&mut self) {
        self.listed = false;
    }

    /// Moves this worker to the end of the wake-up order, which is the order of registration, so that workers without
    /// a connection are woken first.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn go_last(&mut self, listeners: &[OwnedFd], queue: &OwnedFd) -> io::Result<()> {
        if self.last_in_line {
            return Ok(());
        }
        for shared in listeners.iter().chain([queue]) {
            self.epoll.delete(shared)?;
        }
        self.last_in_line = true;
        self.add_shared(listeners, queue)
    }

    /// The worker's place in the order may have changed: the next `go_last` moves it again.
    pub(super) fn forget_place(&mut self) {
        self.last_in_line = false;
    }

    /// Waits for up to `patience`. If nothing is set in the result, that time has passed.
    ///
    /// # Errors
    /// None in practice.
    pub(super) fn wait(&self, patience: Option<Duration>) -> io::Result<Woken> {
        let mut events = [EpollEvent::empty(); EVENTS];
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
                HELD => woken.held = true,
                token if token >= RETAINED => woken.retained |= 1 << (token - RETAINED).min(31),
                token => woken.listeners |= 1 << (token - LISTENER).min(31),
            }
        }
        Ok(woken)
    }
}

/// Adds a retained connection to a set, or gives it its place if it is `listed` there as the held one.
///
/// # Errors
/// `ENOMEM`, `ENOSPC`.
pub(super) fn list_retained(epoll: &Epoll, fd: &OwnedFd, place: u32, listed: bool) -> io::Result<()> {
    let mut event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, RETAINED + u64::from(place));
    Ok(if listed { epoll.modify(fd, &mut event) } else { epoll.add(fd, event) }?)
}

/// The listening sockets that a `Woken` names.
pub(super) fn named<'a>(listeners: &'a [OwnedFd], woken: &Woken) -> impl Iterator<Item = BorrowedFd<'a>> + use<'a> {
    let bits = woken.listeners;
    listeners.iter().enumerate().filter(move |(i, _)| bits & (1 << (*i).min(31)) != 0).map(|(_, l)| l.as_fd())
}
