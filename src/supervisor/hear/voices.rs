//! The ways between the supervisor and its zygotes: how much is taken of each, and what ends one that can't be worked with.

use crate::ipc::{PROTOCOL, Received, ToSupervisor};
use crate::log::{self, Level};
use crate::plan::fleet::{Zygote, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::sys::{clock, process};

/// Messages of a zygote before others have their turn.
const TURN: usize = 64;
/// Messages that a zygote can have left behind: more than its pipe holds are somebody else's, who has it still.
const REST: usize = 1024;

impl Supervisor {
    pub(in crate::supervisor) fn hear_zygote(&mut self, key: ZygoteKey) {
        for _ in 0..TURN {
            let Some(zygote) = self.runtimes.zygote_mut(key) else { return };
            if !zygote.budget.take(clock::now()) {
                return self.pause(key);
            }
            match zygote.reports.receive() {
                Received::Message(message) => self.zygote_says(key, message),
                Received::Nothing => return zygote.budget.credit(1),
                Received::Gone => return self.zygote_is_silent(key),
            }
        }
    }

    /// A zygote that has ended: what it said before.
    pub(in crate::supervisor) fn hear_rest(&mut self, key: ZygoteKey) {
        for _ in 0..REST {
            let Some(Received::Message(message)) = self.runtimes.zygote(key).map(|zygote| zygote.reports.receive())
            else {
                return;
            };
            self.zygote_says(key, message);
        }
    }

    /// It has said too much: what it says from now on waits on its side, until it may speak again.
    fn pause(&mut self, key: ZygoteKey) {
        let Some(zygote) = self.runtimes.zygote(key) else { return };
        self.poller.remove_zygote(&zygote.reports, key);
        if self.paused_zygotes.insert(key, zygote.budget.again()).is_none() {
            log::debug(format!(
                "[group {}] its zygote says too much: it is heard more slowly",
                self.runtimes.group_name(key)
            ));
        }
    }

    /// Those that may speak again.
    pub(in crate::supervisor) fn resume_zygotes(&mut self) {
        let now = clock::now();
        let due: Vec<ZygoteKey> =
            self.paused_zygotes.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key).collect();
        for key in due {
            self.paused_zygotes.remove(&key);
            let Some(zygote) = self.runtimes.zygote(key) else { continue };
            if let Err(e) = self.poller.add_zygote(&zygote.reports, key) {
                log::error(format!("unable to watch a zygote: {e}"));
                self.give_up_on(key);
            }
        }
    }

    /// Its pipe has ended, or what came of it was no message.
    fn zygote_is_silent(&mut self, key: ZygoteKey) {
        let state = self.fleet.generation(key.generation).and_then(|g| g.groups.get(key.group)).map(|g| g.zygote);
        let Some(zygote) = self.runtimes.zygote(key) else { return };
        self.poller.remove_zygote(&zygote.reports, key);
        // One that was told to leave shuts PHP down now. Any other talks nonsense or is dead already.
        if !matches!(state, Some(Zygote::Dismissed(_))) {
            self.give_up_on(key);
        }
    }

    /// Ends a zygote that can't be worked with; its workers finish what they have.
    pub(in crate::supervisor) fn give_up_on(&mut self, key: ZygoteKey) {
        if let Some(zygote) = self.runtimes.zygote_mut(key) {
            zygote.killed = true;
            process::kill(zygote.pid, nix::sys::signal::Signal::SIGKILL);
        }
    }

    /// The first words of a zygote are what it speaks. One that another program was started as can't be understood.
    pub(in crate::supervisor) fn is_agreed(&mut self, key: ZygoteKey, message: &ToSupervisor) -> bool {
        let Some(group) = self.runtimes.group_mut(key) else { return false };
        let Some(zygote) = group.zygote.as_mut() else { return false };
        if zygote.untrusted {
            return false;
        }
        let place = message.place();
        let exists = |(pool, slot): (usize, u32)| group.spec.pools.get(pool).is_some_and(|pool| slot < pool.slots);
        let wrong = match (zygote.protocol, message) {
            (Some(_), ToSupervisor::Hello { .. }) => "has said a second time what it speaks".to_owned(),
            (Some(_), _) if !place.is_none_or(exists) => "names a place for a worker that it does not have".to_owned(),
            (Some(_), _) => return true,
            (None, ToSupervisor::Hello { protocol: PROTOCOL, .. }) => {
                zygote.protocol = Some(PROTOCOL);
                return true;
            }
            (None, ToSupervisor::Hello { protocol, .. }) => {
                format!(
                    "speaks protocol {protocol}, this supervisor {PROTOCOL}: reload, so that both are the same program"
                )
            }
            (None, _) => "does not say what it speaks".to_owned(),
        };
        let pid = zygote.pid;
        zygote.untrusted = true;
        self.log_of(
            key,
            Level::Error,
            &format!("[group {}] zygote {pid} {wrong}: it is killed", self.runtimes.group_name(key)),
        );
        self.give_up_on(key);
        false
    }

    /// Sends what zygotes couldn't take before; one that has stopped listening would make its messages pile up here.
    pub(in crate::supervisor) fn flush_orders(&mut self) {
        let now = clock::now();
        let mut unheard = Vec::new();
        for (key, zygote) in self.runtimes.zygotes_mut().filter(|(_, zygote)| !zygote.killed) {
            zygote.orders.flush(now);
            if zygote.orders.is_stalled(now) {
                unheard.push((key, zygote.pid));
            }
        }
        for (key, pid) in unheard {
            let line = format!(
                "[group {}] zygote {pid} takes no messages any more: it is killed",
                self.runtimes.group_name(key)
            );
            self.log_of(key, Level::Error, &line);
            self.give_up_on(key);
        }
    }

    pub(in crate::supervisor) fn orders_wait(&self) -> bool {
        self.runtimes.zygotes().any(|z| !z.killed && z.orders.is_backed_up())
    }
}
