//! Reaping children: zygotes, workers whose zygote has ended, the check of a reload, and processes that scripts have left.

use std::collections::BTreeSet;

use nix::unistd::Pid;

use crate::ipc::FORMER_PROTOCOL;
use crate::plan::fleet::{Event, Generation, Worker, WorkerKey, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::output::Writer;
use crate::sys::aside;
use crate::sys::process::{self, Exit};

/// Most children that are reaped at once. A script can leave processes faster than they are reaped.
const AT_ONCE: usize = 256;

impl Supervisor {
    /// Reaps children that have ended; if there may be more, `children_ended` stays set. As a subreaper the supervisor also inherits
    /// processes that scripts have left running: they are reaped without a line in the log.
    pub(super) fn reap(&mut self) {
        self.hear_bases();
        self.children_ended = true;
        for _ in 0..AT_ONCE {
            let Some((pid, exit)) = process::reap() else {
                self.children_ended = false;
                return;
            };
            if let Some(key) = self.runtimes.zygote_of(pid) {
                self.zygote_ended(key, pid, exit);
            } else if let Some(key) = self.worker_of(pid) {
                self.worker_ended(key, exit);
            } else if let Some(id) = self.bases.of_pid(pid) {
                self.base_ended(id, exit);
            } else if self.monitor.has(pid) {
                self.monitor_ended(pid, exit);
            } else if self.reload.is_check(pid) {
                self.check_ended(exit);
            }
        }
    }

    fn worker_of(&self, pid: Pid) -> Option<WorkerKey> {
        let proved = |w: &Worker| w.pid == Some(pid.as_raw()) && w.born.is_some();
        self.fleet.workers().find(|(_, w)| proved(w)).map(|(key, _)| key)
    }

    pub(super) fn zygote_ended(&mut self, key: ZygoteKey, pid: Pid, exit: Exit) {
        self.hear_rest(key);
        let mut unproved = false;
        let group = self.runtimes.group_mut(key);
        if let Some(zygote) = group.and_then(|g| g.zygote.take()) {
            unproved = zygote.unproved;
            self.paused_zygotes.remove(&key);
            self.poller.remove_zygote(&zygote.reports, key);
            let (socket, mut theirs) = zygote.orders.into_fds();
            if zygote.protocol == Some(FORMER_PROTOCOL) {
                theirs.push(socket);
            }
            aside::close(theirs);
        }
        let name = self.runtimes.group_name(key);
        self.outputs.drain_of(&mut self.poller, |writer| writer.is_of(key, &name));
        self.close_outputs_of_ended();
        if unproved && self.fleet.awaits_zygote(key) {
            return self.do_without_base(key);
        }
        self.feed(Event::ZygoteEnded { key, pid: pid.as_raw(), exit });
        self.write_off(key);
    }

    pub(super) fn worker_ended(&mut self, key: WorkerKey, exit: Exit) {
        self.collect(key, exit);
        self.handle_pending();
    }

    /// Frees what belonged to a worker that has ended; the fleet learns of it next.
    pub(super) fn collect(&mut self, key: WorkerKey, exit: Exit) {
        let requests = self.runtimes.scoreboard(key).map(|board| board.requests(key.slot));
        self.note_ids(key);
        self.count_end(key, exit);
        self.clear_slot(key);
        self.outputs.close_soon(key);
        self.pending.push_back(Event::Exited { key, exit, requests });
    }

    /// Keeps the ids of the request that a worker has ended in, for the line about its end.
    fn note_ids(&mut self, key: WorkerKey) {
        match self.runtimes.scoreboard(key).and_then(|board| board.present_ids(key.slot)) {
            Some(ids) => self.ids_at_end.insert(key, ids),
            None => self.ids_at_end.remove(&key),
        };
    }

    /// Workers of a dead zygote that did not come to us as children have died with it.
    pub(super) fn write_off(&mut self, key: ZygoteKey) {
        let workers = self.fleet.generation(key.generation).into_iter().flat_map(Generation::workers);
        let lost = workers.filter(|(k, w)| k.zygote() == key && w.orphan && self.proved_orphan(w).is_none());
        let lost: Vec<WorkerKey> = lost.map(|(k, _)| k).collect();
        lost.into_iter().for_each(|worker| self.worker_ended(worker, Exit::Unknown));
    }

    /// Pipes of processes that have ended are closed soon.
    pub(super) fn close_outputs_of_ended(&mut self) {
        let Self { outputs, fleet, runtimes, bases, monitor, .. } = self;
        let zygotes: BTreeSet<i32> = runtimes.zygotes().map(|zygote| zygote.pid.as_raw()).collect();
        outputs.close_soon_where(|writer| match writer {
            Writer::Worker { key, pid, .. } => {
                !fleet.worker(*key).is_some_and(|w| *pid == 0 || w.pid.is_none_or(|known| known == *pid))
            }
            Writer::Group { pid, .. } => !zygotes.contains(pid),
            Writer::Base { pid } => !bases.has_pid(*pid),
            Writer::Monitor { pid } => !monitor.is_present(Pid::from_raw(*pid)),
            Writer::Zygote(name) => !runtimes.groups().any(|g| g.zygote.is_some() && g.spec.group == *name),
        });
    }

    /// After a reload: learns what has happened since the former image stopped listening.
    pub(super) fn catch_up(&mut self) {
        self.reap();
        for key in self.runtimes.keys() {
            if self.runtimes.zygote(key).is_none() && !self.bases.is_awaited(key) {
                self.feed(Event::ZygoteMissing(key));
            }
            self.write_off(key);
        }
    }
}
