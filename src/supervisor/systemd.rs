//! What systemd hears of us: that pools serve, that a reload begins, ends or was refused, that the end comes, how
//! much there is to do; and it keeps our listening sockets. Nothing of this is done where NOTIFY_SOCKET isn't set.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::log::{self, messages::lifecycle as messages};
use crate::plan::systemd::{self, Change, Heartbeat, Load};
use crate::scoreboard::Counter;
use crate::supervisor::Supervisor;
use crate::supervisor::sockets::Sockets;
use crate::sys::clock::millis;
use crate::sys::clock::{self, Millis};
use crate::sys::failure::reason;
use crate::sys::{listen, notify, single_threaded};

/// What could not be sent is tried again after this.
const RETRY: u64 = 100;
/// So many messages may wait for systemd; it is gone, rather than busy, when they are more.
const QUEUE: usize = 1000;

/// The line to systemd.
#[derive(Debug)]
pub struct Systemd {
    /// NOTIFY_SOCKET.
    to: Option<OsString>,
    heartbeat: Heartbeat,
    /// What could not be sent yet, oldest first.
    queue: VecDeque<Message>,
    /// Sockets in systemd's store: name and inode.
    stored: BTreeMap<String, u64>,
    /// The last reload was refused; the status says so until one isn't.
    refused: bool,
    /// The end has been told: no word of ours may take that back.
    stopping: bool,
    /// That it can't be reached was logged.
    complained: bool,
}

#[derive(Debug)]
struct Message {
    text: String,
    fd: Option<OwnedFd>,
}

/// What the next image has to know of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemdState {
    stored: BTreeMap<String, u64>,
    unsent: Vec<String>,
    #[serde(default)]
    stopping: bool,
}

impl Systemd {
    /// As the environment says. The variables stay, for the next image of the supervisor; whoever runs PHP doesn't get them.
    #[must_use]
    pub fn of_environment(now: Millis) -> Self {
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

    /// The same behind the exec of a reload.
    #[must_use]
    pub fn carried_on(state: &SystemdState, now: Millis) -> Self {
        let queue = state.unsent.iter().map(|text| Message { text: text.clone(), fd: None });
        Self {
            stored: state.stored.clone(),
            queue: queue.collect(),
            stopping: state.stopping,
            ..Self::of_environment(now)
        }
    }

    /// For the next image. A socket that could not be sent yet is sent anew by that one.
    #[must_use]
    pub fn state(&self) -> SystemdState {
        let unsent = self.queue.iter().filter(|message| message.fd.is_none());
        let mut stored = self.stored.clone();
        for message in self.queue.iter().filter(|message| message.fd.is_some()) {
            stored.retain(|name, _| !message.text.ends_with(&format!("\nFDNAME={name}")));
        }
        SystemdState { stored, unsent: unsent.map(|message| message.text.clone()).collect(), stopping: self.stopping }
    }

    /// This process is the daemon that the one which systemd started has forked: the watchdog is now its.
    pub fn follow_fork(&self) {
        if env::var_os("WATCHDOG_PID").is_some() && self.heartbeat.deadline().is_some() {
            single_threaded::set_variable("WATCHDOG_PID", std::process::id().to_string().as_ref());
        }
    }

    /// Sockets that came from the store are in it.
    pub fn has_stored(&mut self, sockets: BTreeMap<String, u64>) {
        self.stored = sockets;
    }

    /// When to come back to it.
    #[must_use]
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        let retry = (!self.queue.is_empty()).then(|| now.plus(RETRY));
        self.heartbeat.deadline().into_iter().chain(retry).min()
    }

    fn tell(&mut self, text: String, fd: Option<OwnedFd>) {
        if self.to.is_some() && self.queue.len() < QUEUE {
            self.queue.push_back(Message { text, fd });
            self.flush();
        }
    }

    /// Sends what waits. What systemd doesn't take yet stays; if it isn't there, all is dropped, and said once.
    fn flush(&mut self) {
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

    /// Makes the store hold these sockets.
    fn store(&mut self, sockets: &BTreeMap<String, (u64, &OwnedFd)>) {
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

/// Sockets that systemd is to keep: those that we have opened; its own ones it has.
fn own(sockets: &Sockets) -> BTreeMap<String, (u64, &OwnedFd)> {
    let own = sockets.all.iter().filter(|listener| !listener.passed);
    own.filter_map(|l| Some((stored_name(&l.fd)?, (listen::inode(&l.fd)?, &l.fd)))).collect()
}

/// The name under which a socket of ours is stored.
pub(super) fn stored_name(socket: &OwnedFd) -> Option<String> {
    systemd::socket_name(&listen::address(socket)?)
}

impl Supervisor {
    /// The newest generation serves.
    pub(super) fn tell_ready(&mut self) {
        if self.systemd.to.is_none() {
            return;
        }
        self.systemd.refused = false;
        self.tell_serving("Ready to handle connections");
        match millis(self.config.global.systemd_interval) {
            0 => log::say(&messages::systemd_monitor_disabled()),
            interval => log::say(&messages::systemd_monitor_interval(interval)),
        }
        self.systemd.store(&own(&self.sockets));
    }

    /// A reload has come to nothing, and what there was serves on.
    pub(super) fn tell_refused(&mut self, why: &str) {
        self.systemd.refused = true;
        self.tell_serving(why);
    }

    fn tell_serving(&mut self, status: &str) {
        if self.systemd.to.is_none() || self.systemd.stopping {
            return;
        }
        let interval = millis(self.config.global.systemd_interval);
        let requests = self.load().requests;
        self.systemd.heartbeat.tell_status(interval, clock::now(), requests);
        let status = systemd::one_line(status);
        self.systemd.tell(format!("READY=1\nMAINPID={}\nSTATUS={status}", std::process::id()), None);
    }

    /// A reload begins. systemd takes the next READY for its end, if this is younger than its own wish for it.
    pub(super) fn tell_reloading(&mut self) {
        if self.systemd.stopping {
            return;
        }
        let now = clock::micros();
        self.systemd.tell(format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=Reloading in progress ..."), None);
    }

    /// No request is taken any more, or soon none.
    pub(super) fn tell_stopping(&mut self, line: &str) {
        self.systemd.stopping = true;
        self.systemd.tell(format!("STOPPING=1\nSTATUS={line}"), None);
    }

    /// By the clock: the watchdog, the status, and what could not be sent before.
    pub(super) fn attend_to_systemd(&mut self) {
        self.systemd.flush();
        let now = clock::now();
        let mut lines = Vec::new();
        if self.systemd.heartbeat.feed(now) {
            lines.push("WATCHDOG=1".to_owned());
        }
        if self.systemd.heartbeat.is_status_due(now) && !self.systemd.stopping {
            let status = self.systemd.heartbeat.status(self.load(), now);
            let refused = if self.systemd.refused { " (the last reload was refused, see the log)" } else { "" };
            lines.push(format!("STATUS={status}{refused}"));
        }
        // What is told again anyway doesn't wait behind what systemd hasn't taken.
        if !lines.is_empty() && self.systemd.queue.is_empty() {
            self.systemd.tell(lines.join("\n"), None);
        }
    }

    /// The end: our sockets go, also from the store. One message each, and no second try.
    pub(super) fn empty_store(&mut self) {
        self.systemd.store(&BTreeMap::new());
    }

    /// What php-fpm's status line counts.
    fn load(&self) -> Load {
        let mut load = Load::default();
        let groups = self.runtimes.values().flat_map(|runtime| &runtime.groups);
        let pools = groups.flat_map(|group| group.spec.pools.iter().zip(&group.boards));
        for (_, (_, board)) in pools.filter(|(pool, _)| pool.config.status_of.is_none()) {
            load.active += (0..board.slots()).filter(|slot| board.is_busy(*slot)).count() as u64;
            load.idle += (0..board.slots()).filter(|slot| board.is_idle(*slot)).count() as u64;
        }
        for pool in self.config.pools.iter().filter(|pool| pool.status_of.is_none()) {
            if let Some(totals) = self.totals.latest(&pool.name) {
                load.requests += totals.get(Counter::Requests);
                load.slow += totals.get(Counter::Slow);
            }
        }
        load
    }
}
