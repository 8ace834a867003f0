//! The ways between the supervisor and its zygotes: how much is taken of each, and what ends one that can't be worked with.

use crate::ipc::{PROTOCOL, Received, ToSupervisor};
use crate::log::{self, Level};
use crate::plan::fleet::{Zygote, ZygoteKey};
use crate::supervisor::Supervisor;
use crate::supervisor::generation::runtime;
use crate::sys::{clock, process};

/// Messages of a zygote before others have their turn.
const TURN: usize = 64;
/// Messages that a zygote can have left behind: more than its pipe holds are somebody else's, who has it still.
const LAST_WORDS: usize = 1024;

impl Supervisor {
    pub(in crate::supervisor) fn hear_zygote(&mut self, key: ZygoteKey) {
        for _ in 0..TURN {
            let group = runtime::group_mut(&mut self.runtimes, key);
            let Some(zygote) = group.and_then(|g| g.zygote.as_mut()) else { return };
            if !zygote.budget.take(clock::now()) {
                return self.rest(key);
            }
            match zygote.reports.receive() {
                Received::Message(message) => self.zygote_says(key, message),
                Received::Nothing => return zygote.budget.credit(1),
                Received::Gone => return self.zygote_is_silent(key),
            }
        }
    }

    /// A zygote that has ended: what it said before.
    pub(in crate::supervisor) fn hear_last_words(&mut self, key: ZygoteKey) {
        for _ in 0..LAST_WORDS {
            let group = runtime::group(&self.runtimes, key);
            let Some(Received::Message(message)) = group.and_then(|g| g.zygote.as_ref()).map(|z| z.reports.receive())
            else {
                return;
            };
            self.zygote_says(key, message);
        }
    }

    /// It has said too much: what it says from now on waits on its side, until it may speak again.
    fn rest(&mut self, key: ZygoteKey) {
        let group = runtime::group(&self.runtimes, key);
        let Some(zygote) = group.and_then(|g| g.zygote.as_ref()) else { return };
        self.poller.remove_zygote(&zygote.reports, key);
        if self.resting.insert(key, zygote.budget.again()).is_none() {
            log::debug(format!("[group {}] its zygote says too much: it is heard more slowly", self.group_name(key)));
        }
    }

    /// Those that may speak again.
    pub(in crate::supervisor) fn wake_resting(&mut self) {
        let now = clock::now();
        let due: Vec<ZygoteKey> = self.resting.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key).collect();
        for key in due {
            self.resting.remove(&key);
            let group = runtime::group(&self.runtimes, key);
            let Some(zygote) = group.and_then(|g| g.zygote.as_ref()) else { continue };
            if let Err(e) = self.poller.add_zygote(&zygote.reports, key) {
                log::error(format!("unable to watch a zygote: {e}"));
                self.condemn(key);
            }
        }
    }

    /// Its pipe has ended, or what came of it was no message.
    fn zygote_is_silent(&mut self, key: ZygoteKey) {
        let state = self.fleet.generation(key.generation).and_then(|g| g.groups.get(key.group)).map(|g| g.zygote);
        let group = runtime::group(&self.runtimes, key);
        let Some(zygote) = group.and_then(|g| g.zygote.as_ref()) else { return };
        self.poller.remove_zygote(&zygote.reports, key);
        // One that was told to leave shuts PHP down now. Any other talks nonsense or is dead already.
        if !matches!(state, Some(Zygote::Dismissed(_))) {
            self.condemn(key);
        }
    }

    /// Ends a zygote that can't be worked with; its workers finish what they have.
    pub(in crate::supervisor) fn condemn(&mut self, key: ZygoteKey) {
        let group = runtime::group_mut(&mut self.runtimes, key);
        if let Some(zygote) = group.and_then(|g| g.zygote.as_mut()) {
            zygote.condemned = true;
            process::kill(zygote.pid, nix::sys::signal::Signal::SIGKILL);
        }
    }

    /// The first words of a zygote are what it speaks. One that another program was started as can't be understood.
    pub(in crate::supervisor) fn is_agreed(&mut self, key: ZygoteKey, message: &ToSupervisor) -> bool {
        let Some(group) = runtime::group_mut(&mut self.runtimes, key) else { return false };
        let Some(zygote) = group.zygote.as_mut() else { return false };
        if zygote.distrusted {
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
        zygote.distrusted = true;
        self.say_of(key, Level::Error, &format!("[group {}] zygote {pid} {wrong}: it is killed", self.group_name(key)));
        self.condemn(key);
        false
    }

    /// Sends what zygotes couldn't take before; one that has stopped listening would make its messages pile up here.
    pub(in crate::supervisor) fn flush_orders(&mut self) {
        let now = clock::now();
        let mut unheard = Vec::new();
        for (key, zygote) in runtime::zygotes(&mut self.runtimes).filter(|(_, zygote)| !zygote.condemned) {
            zygote.orders.flush(now);
            if zygote.orders.is_stalled(now) {
                unheard.push((key, zygote.pid));
            }
        }
        for (key, pid) in unheard {
            let line =
                format!("[group {}] zygote {pid} takes no messages any more: it is killed", self.group_name(key));
            self.say_of(key, Level::Error, &line);
            self.condemn(key);
        }
    }

    pub(in crate::supervisor) fn orders_are_backed_up(&self) -> bool {
        let groups = self.runtimes.values().flat_map(|r| &r.groups);
        let mut zygotes = groups.filter_map(|g| g.zygote.as_ref());
        zygotes.any(|z| !z.condemned && z.orders.is_backed_up())
    }
}
