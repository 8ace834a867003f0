//! The messages to systemd, and their times: that pools serve, that a reload begins, ends or was refused, that the supervisor stops, how many
//! requests there are; and which listening sockets it stores for us.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::log::{self, messages::lifecycle as messages};
use crate::plan::systemd::{self, Load};
use crate::scoreboard::Counter;
use crate::supervisor::core::Supervisor;
use crate::supervisor::sockets::{Listener, Sockets, stored_name};
use crate::sys::clock::{self, millis};
use crate::sys::listen;

/// The sockets that systemd is to store: those that we have opened. Its own ones it has anyway.
fn stored_sockets<'a>(sockets: &'a Sockets) -> BTreeMap<String, (u64, &'a OwnedFd)> {
    let stored = |l: &'a Listener| Some((stored_name(&l.name, &l.fd, l.user)?, (listen::inode(&l.fd)?, &l.fd)));
    sockets.own().filter_map(stored).collect()
}

impl Supervisor {
    /// The newest generation serves requests.
    pub(super) fn tell_ready(&mut self) {
        if !self.systemd.is_there() {
            return;
        }
        self.systemd.refused = false;
        let outdated = self.outdated_text().map(|text| format!("; {text}")).unwrap_or_default();
        self.tell_serving(&format!("Ready to handle connections{outdated}"));
        match millis(self.config.global.systemd_interval) {
            0 => log::say(&messages::systemd_monitor_disabled()),
            interval => log::say(&messages::systemd_monitor_interval(interval)),
        }
        self.systemd.store(&stored_sockets(&self.sockets));
    }

    /// A reload has failed; the present generation goes on.
    pub(super) fn tell_refused(&mut self, why: &str) {
        self.systemd.refused = true;
        self.tell_serving(why);
    }

    fn tell_serving(&mut self, status: &str) {
        if !self.systemd.is_there() || self.systemd.stopping {
            return;
        }
        let interval = self.config.global.systemd_interval;
        let requests = self.load().requests;
        self.systemd.heartbeat.tell_status(interval, clock::now(), requests);
        let status = systemd::one_line(status);
        self.systemd.tell(format!("READY=1\nMAINPID={}\nSTATUS={status}", std::process::id()), None);
    }

    /// A reload begins. systemd takes the next READY for its end, if this message is younger than its own request to reload.
    pub(super) fn tell_reloading(&mut self) {
        if self.systemd.stopping {
            return;
        }
        let now = clock::micros();
        self.systemd.tell(format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=Reloading in progress ..."), None);
    }

    /// A reload of several groups goes on: systemd is to wait for it.
    pub(super) fn tell_progress(&mut self) {
        const PAUSE: Duration = Duration::from_millis(500);
        const PATIENCE: Duration = Duration::from_secs(90);
        let now = clock::now();
        let Some((ended, all)) = self.results.progress_of_reload().filter(|(_, all)| *all > 1) else { return };
        if !self.systemd.is_there() || self.systemd.stopping || now.since(self.told_progress) < PAUSE {
            return;
        }
        self.told_progress = now;
        let patience = PATIENCE.as_micros();
        self.systemd.tell(format!("EXTEND_TIMEOUT_USEC={patience}\nSTATUS=Reloading: {ended} of {all} groups"), None);
    }

    /// No request is accepted any more, or soon none.
    pub(super) fn tell_stopping(&mut self, line: &str) {
        self.systemd.stopping = true;
        self.systemd.tell(format!("STOPPING=1\nSTATUS={line}"), None);
    }

    /// Sends what is due: the watchdog's message, the status, and what could not be sent before.
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
            let outdated = self.outdated_text().filter(|_| refused.is_empty());
            let outdated = outdated.map(|text| systemd::one_line(&format!(" ({text})"))).unwrap_or_default();
            lines.push(format!("STATUS={status}{refused}{outdated}"));
        }
        // These are repeated anyway, so they are not queued after others that systemd hasn't taken.
        if !lines.is_empty() && !self.systemd.is_busy() {
            self.systemd.tell(lines.join("\n"), None);
        }
    }

    /// The supervisor ends: systemd's store forgets our sockets. One message each, without a second try.
    pub(super) fn empty_store(&mut self) {
        self.systemd.store(&BTreeMap::new());
    }

    /// The numbers of php-fpm's status line.
    fn load(&self) -> Load {
        let mut load = Load::default();
        // The slots of workers alone: reading memory of pools that have never had one would take memory.
        for (key, _) in self.fleet.workers() {
            let is_shown = self.runtimes.pool(key.of_pool()).is_some_and(|pool| pool.status_of.is_none());
            if let Some(board) = self.runtimes.scoreboard(key).filter(|_| is_shown) {
                load.active += u64::from(board.is_busy(key.slot));
                load.idle += u64::from(board.is_idle(key.slot));
            }
        }
        let totals = self.totals.latest_of_all();
        for pool in self.config.pools.iter().filter(|pool| pool.status_of.is_none()) {
            if let Some(totals) = totals.get(pool.name.as_str()) {
                load.requests += totals.get(Counter::Requests);
                load.slow += totals.get(Counter::Slow);
            }
        }
        load
    }
}
