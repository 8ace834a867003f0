//! The connection to systemd (sd_notify(3)): messages that wait to be sent, and the listening sockets that systemd stores for us.
//! Nothing is sent where NOTIFY_SOCKET isn't set.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::log::{self, messages::lifecycle as messages};
use crate::plan::systemd::{self, Change, Heartbeat};
use crate::sys::clock::Moment;
use crate::sys::failure::reason;
use crate::sys::{notify, single_threaded};

/// The delay before a message that could not be sent is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// So many messages may wait for systemd; it is gone, rather than busy, when they are more.
const QUEUE: usize = 1000;

/// The connection to systemd.
#[derive(Debug)]
pub(super) struct Systemd {
    /// NOTIFY_SOCKET.
    to: Option<OsString>,
    pub(super) heartbeat: Heartbeat,
    /// Messages that could not be sent yet, oldest first.
    queue: VecDeque<Message>,
    /// Sockets in systemd's store: name and inode.
    stored: BTreeMap<String, u64>,
    /// The last reload was refused; the status says so until a reload succeeds.
    pub(super) refused: bool,
    /// systemd has been told that we stop; no later message may take that back.
    pub(super) stopping: bool,
    /// It was logged that systemd can't be reached.
    complained: bool,
}

#[derive(Debug)]
struct Message {
    text: String,
    fd: Option<OwnedFd>,
}

/// The state for the next image. Part of the state that a reload hands over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SystemdState {
    stored: BTreeMap<String, u64>,
    unsent: Vec<String>,
    #[serde(default)]
    stopping: bool,
}

impl Systemd {
    /// As the environment says. The variables stay for the next image of the supervisor; processes that run PHP don't get them.
    #[must_use]
    pub(super) fn of_environment(now: Moment) -> Self {
        let [micros, whose] = ["WATCHDOG_USEC", "WATCHDOG_PID"].map(|name| env::var(name).ok());
        let to = env::var_os("NOTIFY_SOCKET").filter(|to| !to.is_empty());
        let watchdog = systemd::watchdog(micros.as_deref(), whose.as_deref(), std::process::id());
        Self {
            heartbeat: Heartbeat::new(watchdog.filter(|_| to.is_some()), now),
            to,
            queue: VecDeque::new(),
            stored: BTreeMap::new(),
            refused: false,
            stopping: false,
            complained: false,
        }
    }

    /// The same in the next image, after the exec of a reload.
    #[must_use]
    pub(super) fn from_state(state: &SystemdState, now: Moment) -> Self {
        let queue = state.unsent.iter().map(|text| Message { text: text.clone(), fd: None });
        Self {
            stored: state.stored.clone(),
            queue: queue.collect(),
            stopping: state.stopping,
            ..Self::of_environment(now)
        }
    }

    /// For the next image. That one sends a socket again that could not be sent yet.
    #[must_use]
    pub(super) fn state(&self) -> SystemdState {
        let unsent = self.queue.iter().filter(|message| message.fd.is_none());
        let mut stored = self.stored.clone();
        for message in self.queue.iter().filter(|message| message.fd.is_some()) {
            stored.retain(|name, _| !message.text.ends_with(&format!("\nFDNAME={name}")));
        }
        SystemdState { stored, unsent: unsent.map(|message| message.text.clone()).collect(), stopping: self.stopping }
    }

    /// This process is the daemon, forked by the one that systemd has started: it feeds the watchdog from now on.
    pub(super) fn follow_fork(&self) {
        if env::var_os("WATCHDOG_PID").is_some() && self.heartbeat.has_watchdog() {
            single_threaded::set_variable("WATCHDOG_PID", std::process::id().to_string().as_ref());
        }
    }

    /// systemd's store holds these sockets.
    pub(super) fn set_stored(&mut self, sockets: BTreeMap<String, u64>) {
        self.stored = sockets;
    }

    /// When the next message is due, or when to retry what could not be sent.
    #[must_use]
    pub(super) fn deadline(&self, now: Moment) -> Option<Moment> {
        let retry = (!self.queue.is_empty()).then(|| now + RETRY);
        self.heartbeat.deadline().into_iter().chain(retry).min()
    }

    /// Sends a message, with a descriptor for the store, now or as soon as systemd takes it.
    pub(super) fn tell(&mut self, text: String, fd: Option<OwnedFd>) {
        if self.to.is_some() && self.queue.len() < QUEUE {
            self.queue.push_back(Message { text, fd });
            self.flush();
        }
    }

    /// Sends the waiting messages. Those that systemd does not accept yet stay; if systemd is not there, all are dropped, with one line in the log.
    pub(super) fn flush(&mut self) {
        let Some(to) = &self.to else { return };
        while let Some(message) = self.queue.front() {
            match notify::send(to, message.text.as_bytes(), message.fd.as_ref().map(AsFd::as_fd)) {
                Ok(()) => self.complained = false,
                Err(e) if notify::is_worth_another_try(&e) => return,
                Err(e) => {
                    if !self.complained {
                        let to = to.to_string_lossy();
                        log::say(&messages::systemd_not_notified(to, reason(&e)));
                    }
                    self.complained = true;
                    return self.queue.clear();
                }
            }
            self.queue.pop_front();
        }
    }

    /// Whether NOTIFY_SOCKET is set.
    #[must_use]
    pub(super) fn is_there(&self) -> bool {
        self.to.is_some()
    }

    /// Whether messages wait.
    #[must_use]
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Makes the store hold these sockets: descriptors and inodes by name.
    pub(super) fn store(&mut self, sockets: &BTreeMap<String, (u64, &OwnedFd)>) {
        let wanted = sockets.iter().map(|(name, (inode, _))| (name.clone(), *inode)).collect();
        for change in systemd::changes(&self.stored, &wanted) {
            match change {
                Change::Remove(name) => self.tell(format!("FDSTOREREMOVE=1\nFDNAME={name}"), None),
                Change::Add(name) => {
                    let fd = sockets.get(&name).and_then(|(_, fd)| fd.try_clone().ok());
                    self.tell(format!("FDSTORE=1\nFDNAME={name}"), fd);
                }
            }
        }
        self.stored = wanted;
    }
}
