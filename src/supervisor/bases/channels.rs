//! The channels of zygotes that a base zygote is to fork.

use std::io;
use std::os::fd::OwnedFd;

use crate::ipc::{OrderSender, ReportReceiver, ToSupervisor};
use crate::plan::fleet::ZygoteKey;

/// The way of orders to a zygote that is not there yet: our end, and the zygote's.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) orders: OrderSender,
    pub(crate) theirs: OwnedFd,
}

impl Pending {
    /// For a zygote with places for so many workers.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn new(workers: usize) -> io::Result<Self> {
        let (orders, theirs) = OrderSender::pair(workers)?;
        Ok(Self { orders, theirs })
    }

    /// Our end, and the zygote's.
    pub(crate) fn into_ends(self) -> (OrderSender, OwnedFd) {
        (self.orders, self.theirs)
    }
}

/// What was prepared for a zygote that a base zygote is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Of which group.
    pub(crate) zygote: ZygoteKey,
    pub(crate) orders: OrderSender,
    pub(crate) reports: ReportReceiver<ToSupervisor>,
    /// Its stdout and stderr.
    pub(crate) output: OwnedFd,
    /// When it was asked for, in ticks since boot. The process is younger.
    pub(crate) ticks: u64,
}
