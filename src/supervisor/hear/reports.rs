//! The pipes between the supervisor and its zygotes: how many messages are read at a time, and which zygotes are given up.

use crate::ipc::{PROTOCOL, Received, ToSupervisor};
use crate::log::{self, messages::zygotes as messages};
use crate::plan::fleet::{Event, ZygoteKey};
use crate::plan::protocol::{self, Message};
use crate::supervisor::core::Supervisor;
use crate::sys::clock::{self, Moment};
use crate::sys::{peer_pipe, process};

/// Most messages of a zygote that are read before other sources get their turn.
const TURN: usize = 64;
/// Most messages that are read of a zygote that has ended. Its pipe holds fewer, so more come from a process that still has the pipe.
const REST: usize = 1024;

impl Supervisor {
    /// Reads messages of a zygote.
    pub(in crate::supervisor) fn hear_zygote(&mut self, key: ZygoteKey) {
        for _ in 0..TURN {
            let Some(zygote) = self.runtimes.zygote_mut(key) else { return };
            if !zygote.budget.take(clock::now()) {
                return self.pause(key);
            }
            match zygote.reports.receive() {
                Received::Message(message) => self.zygote_says(key, message),
                Received::Nothing => return zygote.budget.credit(1),
                Received::Locked => {
                    self.pause_until(key, clock::now() + peer_pipe::PAUSE);
                    return;
                }
                Received::Gone => return self.zygote_is_silent(key),
            }
        }
    }

    /// Reads what a zygote that has ended has sent before.
    pub(in crate::supervisor) fn hear_rest(&mut self, key: ZygoteKey) {
        for _ in 0..REST {
            let Some(Received::Message(message)) = self.runtimes.zygote(key).map(|zygote| zygote.reports.receive())
            else {
                return;
            };
            self.zygote_says(key, message);
        }
    }

    /// It has sent too many messages: further ones wait on its side for a while.
    fn pause(&mut self, key: ZygoteKey) {
        let Some(again) = self.runtimes.zygote(key).map(|zygote| zygote.budget.again()) else { return };
        if self.pause_until(key, again) {
            log::say(&messages::zygote_paused(self.runtimes.group_name(key)));
        }
    }

    /// Reads it no more until then. Returns whether it was read so far.
    fn pause_until(&mut self, key: ZygoteKey, again: Moment) -> bool {
        let Some(zygote) = self.runtimes.zygote(key) else { return false };
        self.poller.remove_zygote(&zygote.reports, key);
        self.paused_zygotes.insert(key, again).is_none()
    }

    /// Reads zygotes again whose pause is over.
    pub(in crate::supervisor) fn resume_zygotes(&mut self) {
        let now = clock::now();
        let due: Vec<ZygoteKey> =
            self.paused_zygotes.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key).collect();
        for key in due {
            self.paused_zygotes.remove(&key);
            let Some(zygote) = self.runtimes.zygote(key) else { continue };
            if let Err(e) = self.poller.add_zygote(&zygote.reports, key) {
                log::say(&messages::zygote_not_watched(e));
                self.give_up_on(key);
            }
        }
    }

    /// Its pipe has ended, or has brought something else than a message.
    fn zygote_is_silent(&mut self, key: ZygoteKey) {
        let Some(zygote) = self.runtimes.zygote(key) else { return };
        self.poller.remove_zygote(&zygote.reports, key);
        self.feed(Event::ZygoteSilent(key));
    }

    /// Kills a zygote that no longer talks to the supervisor; its workers finish their requests.
    pub(in crate::supervisor) fn give_up_on(&mut self, key: ZygoteKey) {
        if let Some(zygote) = self.runtimes.zygote_mut(key) {
            zygote.killed = true;
            self.killed.insert(key);
            process::kill(zygote.pid, nix::sys::signal::Signal::SIGKILL);
        }
        self.probe_zygote(key);
    }

    /// Whether to accept a message. A zygote that breaks the protocol is killed.
    pub(in crate::supervisor) fn is_agreed(&mut self, key: ZygoteKey, message: &ToSupervisor) -> bool {
        let Some(group) = self.runtimes.group_mut(key) else { return false };
        let Some(zygote) = group.zygote.as_mut().filter(|zygote| !zygote.untrusted) else { return false };
        let exists = |(pool, slot): (usize, u32)| group.spec.pools.get(pool).is_some_and(|pool| slot < pool.slots);
        let kind = match message {
            ToSupervisor::Hello { protocol, .. } => Message::Hello(*protocol),
            other => Message::Other { slot_exists: other.place().is_none_or(exists) },
        };
        match protocol::judge(zygote.protocol, kind, group.spec.protocol.unwrap_or(PROTOCOL)) {
            Ok(version) => {
                zygote.protocol = Some(version);
                true
            }
            Err(breach) => {
                let pid = zygote.pid;
                zygote.untrusted = true;
                let group = self.runtimes.group_name(key);
                self.log_of(key, &messages::zygote_refused(group, pid, breach.text()));
                self.give_up_on(key);
                false
            }
        }
    }

    /// Sends orders that zygotes have not taken yet. A zygote that takes none any more is killed, or its orders would pile up here.
    pub(in crate::supervisor) fn flush_orders(&mut self) {
        let now = clock::now();
        let mut unheard = Vec::new();
        for key in self.behind.iter().copied().collect::<Vec<_>>() {
            match self.runtimes.zygote_mut(key).filter(|zygote| !zygote.killed) {
                Some(zygote) => {
                    zygote.orders.flush(now);
                    if zygote.orders.is_stalled(now) {
                        unheard.push((key, zygote.pid));
                    }
                    if zygote.orders.is_backed_up() {
                        continue;
                    }
                }
                // It has still to be forked by its base zygote.
                None if self.bases.orders_mut(key).is_some() => continue,
                None => {}
            }
            self.behind.remove(&key);
        }
        for (key, pid) in unheard {
            let group = self.runtimes.group_name(key);
            self.log_of(key, &messages::zygote_takes_no_orders(group, pid));
            self.give_up_on(key);
        }
    }

    /// Whether there are orders that a zygote has not taken yet.
    pub(in crate::supervisor) fn orders_wait(&self) -> bool {
        let zygotes = self.behind.iter().filter_map(|key| self.runtimes.zygote(*key));
        self.bases.orders_wait() || zygotes.into_iter().any(|z| !z.killed && z.orders.is_backed_up())
    }
}
