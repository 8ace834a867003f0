//! What zygotes report.

mod claims;
pub mod former;
mod voices;
mod words;

use nix::unistd::Pid;

use crate::ipc::{ToSupervisor, WorkerSays};
use crate::log::{self, Level, messages};
use crate::plan::fleet::{Event, Goal, Life, Phase, WorkerKey, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::hear::claims::Claim;
use crate::sys::{proc_stat, process};

impl Supervisor {
    pub(in crate::supervisor) fn zygote_says(&mut self, key: ZygoteKey, message: ToSupervisor) {
        if !self.is_agreed(key, &message) {
            return;
        }
        match message {
            ToSupervisor::Hello { protocol, php } => {
                log::message(
                    Level::Debug,
                    &format!(
                        "[group {}] its zygote speaks protocol {protocol}, PHP {php}",
                        self.runtimes.group_name(key)
                    ),
                );
            }
            ToSupervisor::Said { level, text } => self.zygote_said(key, level, &text),
            ToSupervisor::Ready => self.feed(Event::ZygoteReady(key)),
            ToSupervisor::Failed(reason) => self.php_failed(key, &reason),
            ToSupervisor::Demand { pool, waiting } => {
                let line =
                    format!("[pool {}] {waiting} waiting, no worker free", self.runtimes.pool_name(key.of_pool(pool)));
                self.log_of(key, Level::Debug, &line);
                self.feed(Event::Demand(key.of_pool(pool), waiting));
            }
            ToSupervisor::Stays => self.feed(Event::Stays(key)),
            ToSupervisor::Forked { pool, slot, pid } => self.worker_forked(key.worker(pool, slot), pid),
            ToSupervisor::ForkFailed { pool, slot, errno } => {
                let worker = key.worker(pool, slot);
                let reason = nix::errno::Errno::from_raw(errno).desc();
                let line =
                    format!("[pool {}] unable to fork: {reason} ({errno})", self.runtimes.pool_name(worker.of_pool()));
                self.log_of(key, Level::Error, &line);
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
                self.worker_ended(key.worker(pool, slot), pid, exit);
            }
        }
    }

    /// The zygote says so, after it has reaped the process.
    fn worker_ended(&mut self, key: WorkerKey, pid: i32, exit: process::Exit) {
        // Not one that has had the slot before.
        let Some(worker) = self.fleet.worker(key).filter(|worker| worker.pid == Some(pid)) else { return };
        if worker.born.is_some_and(|born| proc_stat::lives(Pid::from_raw(pid), born)) {
            self.refuse_end(key, pid);
        } else {
            self.worker_exited(key, exit);
        }
    }

    fn worker_forked(&mut self, key: WorkerKey, pid: i32) {
        let asked = self.fleet.worker(key).is_some_and(|w| w.life == Life::Asked);
        let born = match self.examine(key, pid) {
            Claim::Proved(born) if asked => Some(born),
            // It has ended already, which is said next.
            Claim::Gone if asked => None,
            claim => return self.refuse_claim(key, pid, claim),
        };
        let pool = self.runtimes.pool_name(key.of_pool());
        self.outputs.set_pid(key, pid);
        let replaces = self.fleet.worker(key).is_some_and(|w| w.replaces);
        let level = if replaces { Level::Notice } else { Level::Debug };
        self.log_message_of(key.zygote(), &messages::workers::child_started(&pool, pid).at(level));
        self.feed(Event::Forked(key, pid, born));
    }

    pub(in crate::supervisor) fn worker_exited(&mut self, key: WorkerKey, exit: process::Exit) {
        if let Some(worker) = self.fleet.worker(key) {
            let draining = self.fleet.generation(key.generation).is_none_or(|g| g.phase == Phase::Draining);
            let ordered =
                self.fleet.goal != Goal::Serve || (draining && exit == process::Exit::Code(0)) || worker.orphan;
            let ordered = ordered || (worker.retired.is_some() && exit == process::Exit::Code(0));
            let line =
                crate::supervisor::children::exit_line(&self.runtimes.pool_name(key.of_pool()), worker, exit, ordered);
            self.log_message_of(key.zygote(), &line);
        }
        self.close_tracer(key);
        if exit.is_crash() {
            let at_first = self.runtimes.scoreboard(key).is_some_and(|board| board.requests(key.slot) <= 1);
            self.feed(Event::Crashed(key, at_first));
        }
        self.clear_slot(key);
        self.outputs.close_soon(key);
        self.feed(Event::Exited(key, exit));
    }
}
