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
use crate::ipc::{Channel, ReportSender, ToSupervisor, ToZygote};
use crate::sys::backlog::Inspector;
use crate::sys::clock::Moment;
use crate::sys::limits::FileLimits;

/// Where orders come from. Nothing can be sent there.
pub(super) type OrderReceiver = Channel<(), ToZygote>;

/// The state of a zygote.
#[derive(Debug)]
pub(super) struct Zygote {
    pub(super) orders: OrderReceiver,
    pub(super) reports: ReportSender,
    /// Its supervisor is of a former version.
    pub(super) former: bool,
    pub(super) drain: OwnedFd,
    pub(super) pools: Vec<ZygotePool>,
    pub(super) epoll: Epoll,
    pub(super) signals: Option<SignalFd>,
    pub(super) children: Children,
    pub(super) parking: ParkedConnections,
    pub(super) nofile: FileLimits,
    /// SIGTERM and SIGINT ask its workers to finish.
    pub(super) graceful: bool,
    /// A signal has asked it to leave.
    pub(super) leave_request: Option<LeaveRequest>,
    pub(super) leaving: bool,
    /// Its workers take nothing new.
    pub(super) draining: bool,
    /// Then: how long connections of pools that end are kept.
    pub(super) closing: Option<Closing>,
    pub(super) inspector: Inspector,
}

/// How far a zygote is with leaving after a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeaveRequest {
    /// Of that sender; to be followed at that time, unless the supervisor says something before.
    Received(Moment, Sender),
    /// It is followed. From that time on no worker is waited for. The supervisor has asked for these meanwhile, pool and slot.
    Accepted(Moment, Vec<(usize, u32)>),
}

/// Who has sent a signal, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sender {
    /// SIGTERM or SIGQUIT.
    pub(super) signal: Signal,
    /// 0: a process that can't be seen from here.
    pub(super) pid: u32,
    /// Its real user.
    pub(super) uid: u32,
}

/// How long connections of pools that end are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// Until then.
    At(Moment),
    /// No more: at their end their peers see that they have to look for somebody else.
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
