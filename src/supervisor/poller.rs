//! The events that the supervisor waits for, by token.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use crate::plan::base::BaseId;
use crate::plan::fleet::{WorkerKey, ZygoteKey};
use crate::sys::clock;
use crate::sys::signal::{self, Heard};

/// The signals that mean something to the supervisor.
const SIGNALS: [Signal; 6] =
    [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// A source of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Signals.
    Signals,
    /// Messages of that zygote.
    Zygote(ZygoteKey),
    /// A listening socket of that group, which has no zygote.
    ListeningSocket(ZygoteKey),
    /// The pipe of captured output with this token.
    Output(u64),
    /// The tracer of that worker.
    Tracer(WorkerKey),
    /// The pipe of a reload's check, by its token.
    Check(u64),
    /// Reports of that base zygote.
    Base(BaseId),
    /// The control socket.
    ControlSocket,
    /// A command that has connected to it, by its token.
    Command(u64),
}

/// An epoll set. A token is used once only, so that a late event is never taken for another source's.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: Epoll,
    signals: SignalFd,
    sources: HashMap<u64, Source>,
    last: u64,
}

impl Poller {
    /// Waits for signals. From here on all are blocked but SIGTSTP (Ctrl-Z): it stops the workers of a shell's job, and the shell
    /// has to see the supervisor stop, too.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn new() -> io::Result<Self> {
        signal::block_all_but(Signal::SIGTSTP)?;
        let signals = signal::supervisor_descriptor(&SIGNALS)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        Ok(Self { epoll, signals, sources: HashMap::from([(0, Source::Signals)]), last: 0 })
    }

    /// Adds the pipe of a zygote's messages.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(crate) fn add_zygote(&mut self, fd: impl AsFd, key: ZygoteKey) -> io::Result<()> {
        self.add(fd, |_| Source::Zygote(key)).map(|_| ())
    }

    /// Adds a pipe and gives its token.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(crate) fn add_output(&mut self, fd: impl AsFd) -> io::Result<u64> {
        self.add(fd, Source::Output)
    }

    /// Adds the pipe of a reload's check and gives its token.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(crate) fn add_check(&mut self, fd: impl AsFd) -> io::Result<u64> {
        self.add(fd, Source::Check)
    }

    /// Adds the pipe of a base zygote's reports and gives its token.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(crate) fn add_base(&mut self, fd: impl AsFd, id: BaseId) -> io::Result<u64> {
        self.add(fd, |_| Source::Base(id))
    }

    /// Adds the control socket and gives its token.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(crate) fn add_control_socket(&mut self, fd: impl AsFd) -> io::Result<u64> {
        self.add(fd, |_| Source::ControlSocket)
    }

    /// Adds a command's connection and gives its token.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(crate) fn add_command(&mut self, fd: impl AsFd) -> io::Result<u64> {
        self.add(fd, Source::Command)
    }

    /// Adds the way to a worker's tracer and gives its token.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(crate) fn add_tracer(&mut self, fd: impl AsFd, key: WorkerKey) -> io::Result<u64> {
        self.add(fd, |_| Source::Tracer(key))
    }

    /// Adds a listening socket of a group without a zygote: one event, then no more.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`; `EEXIST` where it is watched already.
    pub(crate) fn add_listener(&mut self, fd: impl AsFd, key: ZygoteKey) -> io::Result<()> {
        self.last += 1;
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, self.last);
        self.epoll.add(fd, event)?;
        self.sources.insert(self.last, Source::ListeningSocket(key));
        Ok(())
    }

    /// Takes the group's listening sockets out.
    pub(crate) fn remove_listeners<F: AsFd>(&mut self, fds: impl Iterator<Item = F>, key: ZygoteKey) {
        for fd in fds {
            let _ = self.epoll.delete(fd);
        }
        self.sources.retain(|_, source| *source != Source::ListeningSocket(key));
    }

    fn add(&mut self, fd: impl AsFd, source: impl FnOnce(u64) -> Source) -> io::Result<u64> {
        self.last += 1;
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, self.last))?;
        self.sources.insert(self.last, source(self.last));
        Ok(self.last)
    }

    /// Takes a zygote's pipe out, before it is closed.
    pub(crate) fn remove_zygote(&mut self, fd: impl AsFd, key: ZygoteKey) {
        let _ = self.epoll.delete(fd);
        self.sources.retain(|_, source| *source != Source::Zygote(key));
    }

    /// Takes a pipe or a tracer out, before it is closed.
    pub(crate) fn remove(&mut self, fd: impl AsFd, token: u64) {
        let _ = self.epoll.delete(fd);
        self.sources.remove(&token);
    }

    /// Ignores a pipe for now.
    pub(crate) fn pause_output(&self, fd: impl AsFd) {
        let _ = self.epoll.delete(fd);
    }

    /// Waits for it again, under its token.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`.
    pub(crate) fn resume_output(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Waits for this time at most (`None`: no limit).
    ///
    /// # Errors
    /// None in practice.
    pub(crate) fn wait(&self, patience: Option<Duration>) -> io::Result<Vec<Source>> {
        let mut events = [EpollEvent::empty(); 64];
        let patience = patience
            .map_or(EpollTimeout::NONE, |p| EpollTimeout::try_from(clock::millis(p)).unwrap_or(EpollTimeout::MAX));
        let count = match self.epoll.wait(&mut events, patience) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        Ok(events[..count].iter().filter_map(|e| self.sources.get(&e.data()).copied()).collect())
    }

    /// The next signal that has come.
    pub(crate) fn next_signal(&self) -> Option<Heard> {
        Heard::of_number(self.signals.read_signal().ok()??.ssi_signo)
    }
}
