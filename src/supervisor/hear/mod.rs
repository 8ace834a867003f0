//! What zygotes report.

mod claims;
pub mod former;
mod voices;
mod words;

use nix::unistd::Pid;

use crate::ipc::{ToSupervisor, WorkerSays};
use crate::log::{self, Level, messages};
use crate::plan::fleet::{Event, Goal, Life, Phase, PoolKey, WorkerKey, ZygoteKey};
use crate::scoreboard::Totals;
use crate::supervisor::Supervisor;
use crate::supervisor::generation::runtime;
use crate::supervisor::hear::claims::Claim;
use crate::supervisor::output::Source;
use crate::sys::{fd, proc_stat, process};

impl Supervisor {
    pub(in crate::supervisor) fn zygote_says(&mut self, key: ZygoteKey, message: ToSupervisor) {
        if !self.is_agreed(key, &message) {
            return;
        }
        match message {
            ToSupervisor::Hello { protocol, php } => {
                log::message(
                    Level::Debug,
                    &format!("[group {}] its zygote speaks protocol {protocol}, PHP {php}", self.group_name(key)),
                );
            }
            ToSupervisor::Said { level, text } => self.zygote_said(key, level, &text),
            ToSupervisor::Ready => self.feed(Event::ZygoteReady(key)),
            ToSupervisor::Failed(reason) => self.php_failed(key, &reason),
            ToSupervisor::Demand { pool, waiting } => {
                let line = format!("[pool {}] {waiting} waiting, no worker free", self.pool_name(key.worker(pool, 0)));
                self.say_of(key, Level::Debug, &line);
                self.feed(Event::Demand(key.of_pool(pool), waiting));
            }
            ToSupervisor::Stays => self.feed(Event::Stays(key)),
            ToSupervisor::Forked { pool, slot, pid } => self.worker_forked(key.worker(pool, slot), pid),
            ToSupervisor::ForkFailed { pool, slot, errno } => {
                let worker = key.worker(pool, slot);
                let reason = nix::errno::Errno::from_raw(errno).desc();
                let line = format!("[pool {}] unable to fork: {reason} ({errno})", self.pool_name(worker));
                self.say_of(key, Level::Error, &line);
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
        let pool = self.pool_name(key);
        for output in self.outputs.values_mut() {
            if let Source::Worker { key: whose, pid: known, .. } = &mut output.source
                && *known == 0
                && *whose == key
            {
                *known = pid;
            }
        }
        let replaces = self.fleet.worker(key).is_some_and(|w| w.replaces);
        let level = if replaces { Level::Notice } else { Level::Debug };
        self.say_message_of(key.zygote(), &messages::workers::child_started(&pool, pid).at(level));
        self.feed(Event::Forked(key, pid, born));
    }

    pub(in crate::supervisor) fn worker_exited(&mut self, key: WorkerKey, exit: process::Exit) {
        if let Some(worker) = self.fleet.worker(key) {
            let draining = self.fleet.generation(key.generation).is_none_or(|g| g.phase == Phase::Draining);
            let ordered =
                self.fleet.goal != Goal::Serve || (draining && exit == process::Exit::Code(0)) || worker.orphan;
            let ordered = ordered || (worker.retired.is_some() && exit == process::Exit::Code(0));
            let line = crate::supervisor::children::exit_line(&self.pool_name(key), worker, exit, ordered);
            self.say_message_of(key.zygote(), &line);
        }
        // Before its slot, which it may ask about.
        self.hear_tracer(key);
        self.drop_tracer(key);
        if exit.is_crash() {
            let at_first = runtime::board(&self.runtimes, key).is_some_and(|board| board.requests(key.slot) <= 1);
            self.feed(Event::Crashed(key, at_first));
        }
        self.clear_slot(key);
        self.expect_last_words(key);
        self.feed(Event::Exited(key, exit));
    }

    /// Nobody has the slot any more, whatever its worker left in it.
    fn clear_slot(&self, key: WorkerKey) {
        let Some(board) = runtime::board(&self.runtimes, key) else { return };
        if let Some(totals) = self.totals_of(key.of_pool()).filter(|_| board.is_busy(key.slot)) {
            totals.leave();
        }
        board.reset(key.slot);
    }

    pub(in crate::supervisor) fn group_name(&self, key: ZygoteKey) -> String {
        runtime::group(&self.runtimes, key).map(|g| g.spec.group.clone()).unwrap_or_default()
    }

    /// The pool's counters.
    pub(in crate::supervisor) fn totals_of(&self, key: PoolKey) -> Option<&Totals> {
        let pool = runtime::group(&self.runtimes, key.zygote)?.spec.pools.get(key.pool)?;
        self.totals.get(pool.totals_fd)
    }

    pub(in crate::supervisor) fn pool_name(&self, key: WorkerKey) -> String {
        runtime::pool(&self.runtimes, key.of_pool()).map(|pool| pool.name.clone()).unwrap_or_default()
    }

    /// SIGUSR1: the logs are opened anew; no worker is disturbed.
    pub(in crate::supervisor) fn reopen_logs(&mut self) {
        let mut wrong = Vec::new();
        match crate::configured::open_log(&self.config.global, &self.options) {
            Ok(sink) => {
                // An own stream has no name to be opened by.
                let own = self.config.global.error_log.file().and_then(fd::standard_stream).is_some();
                if let Some(sink) = sink.filter(|_| !own) {
                    log::set_sink(sink, false);
                }
                log::say(&messages::lifecycle::error_log_reopened());
            }
            Err(e) => {
                let refusal = e.message();
                log::say(&refusal);
                log::say(&messages::lifecycle::error_log_not_reopened());
                wrong.push(refusal.text().to_owned());
            }
        }
        self.reopen_access_logs(&mut wrong);
        self.results.reopened(&wrong);
    }

    pub(in crate::supervisor) fn zygote_keys(&self) -> Vec<ZygoteKey> {
        let of = |(&generation, r): (&_, &crate::supervisor::generation::runtime::Runtime)| {
            (0..r.groups.len()).map(move |group| ZygoteKey { generation, group }).collect::<Vec<_>>()
        };
        self.runtimes.iter().flat_map(of).collect()
    }
}
