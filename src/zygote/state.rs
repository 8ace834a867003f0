//! The state of a zygote.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::children::Children;
use super::event_source::EventSource;
use super::parking::ParkedConnections;
use super::pool::ZygotePool;
use super::retained::RetainedConnections;
use crate::ipc::{Channel, ReportSender, ToSupervisor, ToZygote};
use crate::status::Group;
use crate::sys::backlog::Inspector;
use crate::sys::clock::Moment;
use crate::sys::idle_memory::ReleaseTimer;
use crate::sys::limits::FileLimits;
use crate::sys::private_copy::CopiedPages;
use crate::sys::process_limits::ProcessLimits;

/// The receiving end of the supervisor's orders. Nothing can be sent there.
pub(super) type OrderReceiver = Channel<(), ToZygote>;

/// The state of a zygote.
#[derive(Debug)]
pub(super) struct Zygote {
    pub(super) orders: OrderReceiver,
    pub(super) reports: ReportSender,
    /// Its supervisor is of an older version, which has no pipe for reports.
    pub(super) former: bool,
    pub(super) drain: OwnedFd,
    pub(super) pools: Vec<ZygotePool>,
    pub(super) epoll: Epoll,
    pub(super) signals: Option<SignalFd>,
    pub(super) children: Children,
    pub(super) parking: ParkedConnections,
    pub(super) retained: RetainedConnections,
    /// /dev/null, for its workers.
    pub(super) null: OwnedFd,
    pub(super) nofile: FileLimits,
    /// RLIMIT_NPROC for its workers, if the supervisor can remove that of the zygote.
    pub(super) processes: Option<ProcessLimits>,
    /// SIGTERM and SIGINT ask its workers to finish.
    pub(super) graceful: bool,
    /// What status pages show of the group.
    pub(super) group: Group,
    /// A signal has asked it to exit.
    pub(super) leave_request: Option<LeaveRequest>,
    pub(super) leaving: bool,
    /// Its workers drain.
    pub(super) draining: bool,
    /// While draining: when parked connections of pools that end are closed.
    pub(super) closing: Option<Closing>,
    pub(super) inspector: Inspector,
    /// When PHP had started.
    pub(super) ready_at: Option<Moment>,
    /// For the memory that it has needed to start or to fork.
    pub(super) release: ReleaseTimer,
    /// Copies of a base zygote's memory that are not mapped yet.
    pub(super) copied: Option<CopiedPages>,
}

/// The state of a zygote that a signal has asked to exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeaveRequest {
    /// A signal has come from that sender. The zygote follows it at that time, unless the supervisor sends an order
    /// before.
    Received(Moment, Sender),
    /// The zygote follows it. From that time on it waits for no worker. The supervisor has ordered these workers in
    /// the meantime, by pool and slot.
    Accepted(Moment, Vec<(usize, u32)>),
}

/// Who has sent a signal, as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sender {
    /// SIGTERM or SIGQUIT.
    pub(super) signal: Signal,
    /// Its process id; 0: a process of another PID namespace.
    pub(super) pid: u32,
    /// Its real user id.
    pub(super) uid: u32,
}

/// When parked connections of pools that end are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// At that time.
    At(Moment),
    /// They were closed, and so is every later one.
    Closed,
}

impl Zygote {
    pub(super) fn report(&mut self, message: &ToSupervisor) {
        self.reports.send(message);
    }

    pub(super) fn watch(&self, fd: impl AsFd, source: EventSource) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, source.pack()))?)
    }
}
