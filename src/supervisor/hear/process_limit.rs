//! The limit on processes of a zygote's user (RLIMIT_NPROC). Workers are forked by a process of that user, so the limit would
//! apply to the pool. php-fpm's workers are forked by root, whom no such limit binds.

use nix::errno::Errno;

use crate::log::messages::zygotes as messages;
use crate::plan::fleet::{WorkerKey, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::sys::{proc_stat, process_limits};

impl Supervisor {
    /// Removes the limit of a zygote that has asked for it. If that is refused, the limit holds, and `say_fork_failed` names it.
    pub(super) fn remove_process_limit(&mut self, key: ZygoteKey) {
        let Some(group) = self.runtimes.group(key) else { return };
        // Only a zygote that was told the limit gives it back to its workers.
        if let (Some(zygote), true) = (&group.zygote, group.spec.identity.is_some()) {
            let _ = process_limits::remove_limit_of(zygote.pid);
        }
    }

    /// Logs why a zygote could not fork a worker.
    pub(super) fn say_fork_failed(&mut self, worker: WorkerKey, errno: i32) {
        let name = self.runtimes.pool_name(worker.of_pool()).to_owned();
        let message = self
            .process_limit(worker, &name, errno)
            .unwrap_or_else(|| messages::worker_not_forked(&name, Errno::from_raw(errno).desc(), errno));
        self.log_of(worker.zygote(), &message);
    }

    /// The message that the user has too many processes, if that is the reason.
    fn process_limit(&self, worker: WorkerKey, name: &str, errno: i32) -> Option<crate::log::Message> {
        let zygote = self.runtimes.zygote(worker.zygote()).filter(|_| errno == libc::EAGAIN)?;
        let limit = process_limits::limit_of(zygote.pid)?;
        let uid = proc_stat::user_of(zygote.pid)?;
        let count = process_limits::count_of_user(uid);
        let user = self.runtimes.pool(worker.of_pool()).and_then(|pool| pool.user.clone());
        let user = user.unwrap_or_else(|| uid.to_string());
        (count >= limit).then(|| messages::too_many_processes(name, user, count, limit))
    }
}
