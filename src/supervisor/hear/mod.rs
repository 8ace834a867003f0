//! Converts the reports of zygotes to events for the fleet and lines for the log.

mod claims;
pub(super) mod former;
mod process_limit;
mod reports;

use nix::unistd::Pid;

use crate::escape;
use crate::ipc::{ToSupervisor, WorkerSays};
use crate::log::{self, messages::bases, messages::zygotes as messages};
use crate::plan::fleet::{Event, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::sys::proc_stat;

impl Supervisor {
    /// Takes a message of a zygote.
    pub(in crate::supervisor) fn zygote_says(&mut self, key: ZygoteKey, message: ToSupervisor) {
        if !self.is_agreed(key, &message) {
            return;
        }
        match message {
            ToSupervisor::Hello { protocol, php } => {
                if let Some(group) = self.runtimes.group_mut(key) {
                    group.about.php = shortened(&php);
                }
                log::say(&messages::zygote_speaks(self.runtimes.group_name(key), protocol, php));
            }
            ToSupervisor::Said { level, text } => self.zygote_said(key, level, &text),
            ToSupervisor::RemoveProcessLimit => self.remove_process_limit(key),
            ToSupervisor::Files { first, php_ini, files } => {
                if let Some(group) = self.runtimes.group_mut(key) {
                    group.started_with(first, php_ini, files);
                }
            }
            ToSupervisor::NeedsOwnStart(reason) => {
                self.log_of(key, &bases::zygote_needs_own_start(self.runtimes.group_name(key), reason));
            }
            ToSupervisor::Ready if !self.has_become_its_user(key) => self.refuse_unproved(key),
            ToSupervisor::Ready => {
                self.runtimes.share_files(key);
                self.zygote_started(key);
                self.feed(Event::ZygoteReady(key));
            }
            ToSupervisor::Failed(reason) => self.php_failed(key, &reason),
            ToSupervisor::Demand { pool, waiting } => {
                let name = self.runtimes.pool_name(key.of_pool(pool));
                self.log_of(key, &messages::connections_wait(name, waiting));
                self.feed(Event::Demand(key.of_pool(pool), waiting));
            }
            ToSupervisor::Stays => self.feed(Event::Stays(key)),
            ToSupervisor::Forked { pool, slot, pid } => {
                let key = key.worker(pool, slot);
                let claim = self.examine(key, pid);
                self.feed(Event::Forked { key, pid, claim });
            }
            ToSupervisor::ForkFailed { pool, slot, errno } => {
                let worker = key.worker(pool, slot);
                self.say_fork_failed(worker, errno);
                self.feed(Event::ForkFailed(worker));
            }
            ToSupervisor::Worker { pool, slot, says: WorkerSays::Accepting } => {
                self.feed(Event::Accepting(key.worker(pool, slot)));
            }
            ToSupervisor::Worker { pool, slot, says: WorkerSays::Left } => {
                self.feed(Event::Left(key.worker(pool, slot)))
            }
            ToSupervisor::Worker { pool, slot, says: WorkerSays::Failed(reason) } => {
                self.worker_failed(key.worker(pool, slot), &reason);
            }
            ToSupervisor::Exited { pool, slot, pid, exit } => {
                let key = key.worker(pool, slot);
                let born = self.fleet.worker(key).filter(|w| w.pid == Some(pid)).and_then(|w| w.born);
                let runs = born.is_some_and(|born| proc_stat::lives(Pid::from_raw(pid), born));
                self.feed(Event::EndReported { key, pid, exit, runs });
            }
        }
    }
}

/// A text of a zygote as it is kept and shown.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    escape::line(text.as_bytes()).chars().take(MOST).collect()
}
