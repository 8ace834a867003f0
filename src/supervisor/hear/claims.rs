//! Whose process a pid is. A zygote names the workers that it has forked, and code of its user may speak for it: a pid counts
//! only if the kernel says that the process is that zygote's child, and together with its time of birth. Without that proof a
//! pid is only shown, and gets no signal.

use nix::unistd::{Pid, getpid, getuid};

use crate::log::Level;
use crate::plan::fleet::{Worker, WorkerKey, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::sys::proc_stat::{self, Origin};

/// What is to be thought of a pid that a zygote names as that of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Claim {
    /// Its child, born then.
    Proved(u64),
    /// There is no such process (any more).
    Gone,
    /// Somebody else's.
    False,
}

impl Supervisor {
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

    /// A worker of a zygote that has just died, by its user: all that dies under us leaves its children to us.
    fn is_left_to_us(&self, key: WorkerKey, pid: Pid, origin: Origin) -> bool {
        if origin.parent != getpid() || self.runtimes.zygote_of(pid).is_some() || self.reload.is_check(pid) {
            return false;
        }
        let Some(group) = self.runtimes.group(key.zygote()) else { return false };
        let of_zygote = group.spec.identity.as_ref().map_or(getuid().as_raw(), |identity| identity.uid);
        let of_pool = group.spec.pools.get(key.pool).and_then(|pool| Some(pool.identity.as_ref()?.uid));
        proc_stat::user_of(pid).is_some_and(|user| user == of_zygote || Some(user) == of_pool)
    }

    /// A zygote that lies is ended, and nothing more that it says is believed.
    pub(in crate::supervisor) fn refuse_claim(&mut self, key: WorkerKey, pid: i32, claim: Claim) {
        let why = match claim {
            Claim::False => "which is no new child of its own",
            Claim::Proved(_) | Claim::Gone => "for which it was not asked",
        };
        let line = format!(
            "[pool {}] its zygote names process {pid} as a new worker, {why}: the zygote is killed and started again",
            self.runtimes.pool_name(key.of_pool())
        );
        self.distrust(key.zygote(), &line);
    }

    /// The same of one that says that a worker has ended, which is there still.
    pub(in crate::supervisor) fn refuse_end(&mut self, key: WorkerKey, pid: i32) {
        let line = format!(
            "[pool {}] its zygote reports the end of process {pid}, which lives: the zygote is killed and started again",
            self.runtimes.pool_name(key.of_pool())
        );
        self.distrust(key.zygote(), &line);
    }

    fn distrust(&mut self, key: ZygoteKey, line: &str) {
        self.log_of(key, Level::Error, line);
        if let Some(zygote) = self.runtimes.zygote_mut(key) {
            zygote.untrusted = true;
        }
        self.kill_zygote(key);
    }

    /// A worker without a zygote, if it is still the process that it was proved to be, and our child.
    pub(in crate::supervisor) fn proved_orphan(&self, worker: &Worker) -> Option<Pid> {
        let pid = Pid::from_raw(worker.pid?);
        let origin = Origin { parent: getpid(), born: worker.born? };
        (worker.orphan && proc_stat::origin(pid) == Some(origin)).then_some(pid)
    }

    /// Behind a reload from a program that kept no times of birth.
    pub(in crate::supervisor) fn prove_workers(&mut self) {
        let unproved = self.fleet.workers().filter_map(|(key, w)| Some((key, w.pid.filter(|_| w.born.is_none())?)));
        for (key, pid) in unproved.collect::<Vec<_>>() {
            if let Claim::Proved(born) = self.examine(key, pid) {
                self.fleet.proved(key, born);
            }
        }
    }
}
