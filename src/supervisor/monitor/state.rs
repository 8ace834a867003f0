//! The monitor in the state that a reload hands over.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::config::MonitorConfig;
use crate::ipc::OrderSender;
use crate::supervisor::monitor::Monitor;
use crate::supervisor::monitor::address::Address;
use crate::supervisor::monitor::process::MonitorProcess;
use crate::sys::clock::{self, Moment};
use crate::sys::{inherited, listen};

/// A listening socket, and the process that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MonitorState {
    config: MonitorConfig,
    listener: RawFd,
    /// Its pid, and the way of messages to it.
    process: Option<(i32, RawFd)>,
}

impl MonitorState {
    /// The present state. `None`: nothing listens.
    pub(crate) fn of(monitor: &Monitor) -> Option<Self> {
        let address = monitor.address.as_ref()?;
        let process = monitor.process.as_ref();
        Some(Self {
            config: address.config().clone(),
            listener: address.listener()?.as_raw_fd(),
            process: process.map(|process| (process.pid.as_raw(), process.messages.as_fd().as_raw_fd())),
        })
    }

    /// The descriptors that are to survive the exec.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        [self.listener].into_iter().chain(self.process.map(|(_, messages)| messages))
    }

    /// Takes it over; `ending`: processes that were told to end.
    ///
    /// # Errors
    /// A descriptor that isn't there.
    pub(crate) fn adopt(state: Option<&Self>, ending: &[i32]) -> io::Result<Monitor> {
        let monitor = state.map_or_else(|| Ok(Monitor::default()), Self::adopt_present)?;
        Ok(monitor.with_ending(ending, clock::now()))
    }

    fn adopt_present(&self) -> io::Result<Monitor> {
        let listener = inherited::adopt(self.listener)?;
        // A monitor that was abandoned has shut it down.
        let listens = listen::is_listening(&listener);
        let address = listens.then(|| Address::listening(self.config.clone(), listener));
        let former = self.process.map(|(pid, messages)| {
            let messages = OrderSender::new(inherited::adopt(messages)?, 0);
            io::Result::Ok(MonitorProcess::new(Pid::from_raw(pid), messages, Moment::default(), None))
        });
        Ok(Monitor::of(address, former.transpose()?))
    }
}
