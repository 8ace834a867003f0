//! Zygotes that no longer respond, because their user has stopped them or because they hang. Orders have deadlines, but in quiet times
//! there are none. So the supervisor looks once a second whether zygotes are stopped, and, where clients wait or a generation drains,
//! whether they reap their dead workers and ask for new ones. The fleet decides when it has lasted too long.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid};

use crate::log::{self, messages::bases, messages::zygotes};
use crate::plan::fleet::{Phase, WorkerKey, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::GroupRuntime;
use crate::sys::pidfd::Process;
use crate::sys::process::Exit;
use crate::sys::{clock, proc_stat, process};

impl Supervisor {
    /// Looks at all zygotes. `waiting`: the pools where clients wait.
    pub(super) fn look_at_zygotes(&mut self, waiting: &BTreeSet<String>) {
        // Mostly none is stopped, and one question is enough.
        let some_stopped = self.stopped_children.look(clock::now());
        let mut silent = if some_stopped { self.stopped_zygotes() } else { BTreeSet::new() };
        let unreaped = self.unreaped_workers(waiting);
        // A zygote needs a moment to reap a worker.
        silent.extend(unreaped.intersection(&self.unreaped).map(|(worker, _)| worker.zygote()));
        self.unreaped = unreaped;
        silent.extend(self.fleet.unaware(waiting));
        self.fleet.note_unresponsive(clock::now(), &silent);
        self.note_stopped_bases(some_stopped);
        self.write_off_traced();
    }

    fn stopped_zygotes(&self) -> BTreeSet<ZygoteKey> {
        let is_stopped = |group: &GroupRuntime| group.zygote.as_ref().is_some_and(|z| process::is_stopped(z.pid));
        self.runtimes.keyed().filter(|(_, group)| is_stopped(group)).map(|(key, _)| key).collect()
    }

    /// Goes on without processes whose end the kernel hides from us, because another process traces them (ptrace(2)): one that their
    /// user has left, for example, which never lets go. We were told of every other end before the second look.
    fn write_off_traced(&mut self) {
        let is_killed = |key: &ZygoteKey| self.runtimes.zygote(*key).is_some_and(|zygote| zygote.killed);
        self.killed.retain(is_killed);
        let zygotes = self.killed.iter().filter_map(|key| Some((*key, self.runtimes.zygote(*key)?.pid)));
        let zygotes: Vec<_> = zygotes.filter(|(_, pid)| proc_stat::is_unreaped_child(*pid)).collect();
        let workers = self.hidden_orphans();
        let hidden = zygotes.iter().map(|(_, pid)| pid).chain(workers.iter().map(|(_, pid)| pid)).copied().collect();
        let before: BTreeSet<Pid> = std::mem::replace(&mut self.hidden, hidden);
        for (key, _) in workers.into_iter().filter(|(_, pid)| before.contains(pid)) {
            self.worker_ended(key, Exit::Unknown);
        }
        for (key, pid) in zygotes.into_iter().filter(|(_, pid)| before.contains(pid)) {
            self.zygote_ended(key, pid, Exit::Unknown);
        }
    }

    /// Workers without a zygote that have ended, and that we cannot reap.
    fn hidden_orphans(&mut self) -> Vec<(WorkerKey, Pid)> {
        if !self.has_orphans {
            return Vec::new();
        }
        let orphans: Vec<_> = self.fleet.workers().filter(|(_, worker)| worker.orphan).collect();
        self.has_orphans = !orphans.is_empty();
        let proved = orphans.into_iter().filter_map(|(key, worker)| Some((key, self.proved_orphan(worker)?)));
        proved.filter(|(_, pid)| proc_stat::is_unreaped_child(*pid)).collect()
    }

    /// Workers that have ended and still are their zygote's children, in generations that drain and in pools where clients wait.
    fn unreaped_workers(&self, waiting: &BTreeSet<String>) -> BTreeSet<(WorkerKey, i32)> {
        let mut found = BTreeSet::new();
        for generation in self.fleet.generations() {
            let drains = generation.phase == Phase::Draining;
            if !drains && waiting.is_empty() {
                continue;
            }
            for (key, worker) in generation.workers().filter(|(_, worker)| !worker.orphan) {
                let (Some(pid), Some(born)) = (worker.pid, worker.born) else { continue };
                let concerns = drains || self.fleet.pool(key).is_some_and(|pool| waiting.contains(&pool.name));
                if concerns && proc_stat::is_zombie(Pid::from_raw(pid), born) {
                    found.insert((key, pid));
                }
            }
        }
        found
    }

    /// Nothing is lost with a base zygote, so it is killed at once if it is stopped; another one starts when it is needed.
    fn note_stopped_bases(&mut self, some_stopped: bool) {
        for base in self.bases.bases.values_mut() {
            let Some(base) = base.process.as_mut().filter(|base| !base.reaped) else { continue };
            let is_stopped = some_stopped && process::is_stopped(base.pid);
            // All processes may have been stopped, and continue at this moment.
            if is_stopped && base.was_stopped {
                log::say(&bases::base_stopped(base.pid));
                process::kill(base.pid, Signal::SIGKILL);
            }
            base.was_stopped = is_stopped;
        }
    }

    /// Kills a zygote that does not respond.
    pub(super) fn kill_silent(&mut self, key: ZygoteKey) {
        if let Some(zygote) = self.runtimes.zygote(key) {
            log::say(&zygotes::zygote_does_not_respond(self.runtimes.group_name(key), zygote.pid));
        }
        self.kill_zygote(key);
    }

    /// Signals a worker, if its process is still the one that it was proved to be: a child of its zygote, or ours if that has ended.
    /// False: it is not, or that is not known.
    pub(super) fn signal_proved(&self, key: WorkerKey, signal: Signal) -> bool {
        let Some(worker) = self.fleet.worker(key) else { return false };
        let Some((pid, born)) = worker.pid.map(Pid::from_raw).zip(worker.born) else { return false };
        // It is opened first and compared then, so it cannot be another process that has got its pid.
        let opened = Process::open(pid);
        let Some(origin) = proc_stat::origin(pid).filter(|origin| origin.born == born) else { return false };
        let zygote = self.runtimes.zygote(key.zygote()).map(|zygote| zygote.pid);
        let proved = origin.parent == getpid() || (Some(origin.parent) == zygote && !worker.orphan);
        if proved {
            match opened {
                Ok(process) => drop(process.signal(signal)),
                // A seccomp filter refuses pidfd_open, or descriptors are short.
                Err(_) => process::kill(pid, signal),
            }
        }
        proved
    }
}
