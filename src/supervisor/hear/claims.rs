//! Which process a pid is. A zygote reports the pids of its workers, and code of its user may send such reports. A pid counts only
//! together with the start time of its process, and only if the kernel says that this process is the zygote's child. A pid without
//! that proof is only shown and gets no signal.

use nix::unistd::{Pid, getpid, getuid};

use crate::plan::fleet::{Claim, Violation, Worker, WorkerKey};
use crate::supervisor::core::Supervisor;
use crate::sys::proc_stat::{self, Origin};

impl Supervisor {
    /// Asks the kernel about a pid that a zygote has named as a worker's.
    pub(in crate::supervisor) fn examine(&self, key: WorkerKey, pid: i32) -> Claim {
        let Some(origin) = proc_stat::origin(Pid::from_raw(pid)) else { return Claim::Gone };
        let known = |w: &Worker| (w.pid, w.born) == (Some(pid), Some(origin.born));
        let zygote = self.runtimes.zygote(key.zygote());
        let own = zygote.is_some_and(|zygote| zygote.pid == origin.parent);
        if (own || self.is_left_to_us(key, Pid::from_raw(pid), origin)) && !self.fleet.workers().any(|(_, w)| known(w))
        {
            Claim::Proved(origin.born)
        } else {
            Claim::False
        }
    }

    /// Whether a process is known as a zygote, a base zygote or the check of a reload.
    pub(in crate::supervisor) fn has_role(&self, pid: Pid) -> bool {
        self.runtimes.zygote_of(pid).is_some() || self.bases.of_pid(pid).is_some() || self.reload.is_check(pid)
    }

    /// Whether it may be a worker of a zygote that has just died, judged by its user: as a subreaper we get the children of our
    /// children that die.
    fn is_left_to_us(&self, key: WorkerKey, pid: Pid, origin: Origin) -> bool {
        if origin.parent != getpid() || self.has_role(pid) {
            return false;
        }
        let Some(group) = self.runtimes.group(key.zygote()) else { return false };
        // A zygote that lives still has its workers, unless they are those of one before it.
        let ended = |zygote| {
            proc_stat::origin(zygote).is_none_or(|it| proc_stat::is_zombie(zygote, it.born) && it.born <= origin.born)
        };
        let orphan = self.fleet.worker(key).is_some_and(|worker| worker.orphan);
        if !orphan && !group.zygote.as_ref().is_none_or(|zygote| ended(zygote.pid)) {
            return false;
        }
        let of_zygote = group.spec.identity.as_ref().map_or(getuid().as_raw(), |identity| identity.uid);
        let of_pool = group.spec.pools.get(key.pool).and_then(|pool| Some(pool.identity.as_ref()?.uid));
        proc_stat::user_of(pid).is_some_and(|user| user == of_zygote || Some(user) == of_pool)
    }

    /// A zygote has reported what is not true: it is killed, and its messages are ignored.
    pub(in crate::supervisor) fn refuse(&mut self, key: WorkerKey, pid: i32, violation: Violation) {
        let message = violation.message(&self.runtimes.pool_name(key.of_pool()), pid);
        self.log_of(key.zygote(), &message);
        if let Some(zygote) = self.runtimes.zygote_mut(key.zygote()) {
            zygote.untrusted = true;
        }
        self.kill_zygote(key.zygote());
    }

    /// The pid of a worker without a zygote, if it is our child and still the process that it was proved to be.
    pub(in crate::supervisor) fn proved_orphan(&self, worker: &Worker) -> Option<Pid> {
        let pid = Pid::from_raw(worker.pid?);
        let born = worker.born.filter(|_| worker.orphan)?;
        (proc_stat::origin(pid) == Some(Origin { parent: getpid(), born })).then_some(pid)
    }

    /// After a reload from a version that kept no start times.
    pub(in crate::supervisor) fn prove_workers(&mut self) {
        let unproved = self.fleet.workers().filter_map(|(key, w)| Some((key, w.pid.filter(|_| w.born.is_none())?)));
        for (key, pid) in unproved.collect::<Vec<_>>() {
            if let Claim::Proved(born) = self.examine(key, pid) {
                self.fleet.set_start_time(key, born);
            }
        }
    }
}
