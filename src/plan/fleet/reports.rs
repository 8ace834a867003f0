//! Reports about workers and zygotes: which are believed, and at which level an end is logged.

use crate::log::Level;
use crate::plan::fleet::action::Action;
use crate::plan::fleet::claims::{Claim, Violation};
use crate::plan::fleet::ends::{WorkerEnd, ZygoteEnd};
use crate::plan::fleet::goal::Goal;
use crate::plan::fleet::keys::{WorkerKey, ZygoteKey};
use crate::plan::fleet::members::{Phase, Zygote};
use crate::plan::fleet::pool::Life;
use crate::plan::fleet::state::Fleet;
use crate::sys::clock::Moment;
use crate::sys::process::Exit;

impl Fleet {
    /// A zygote says that it has forked a worker.
    pub(super) fn forked(&mut self, key: WorkerKey, pid: i32, claim: Claim, out: &mut Vec<Action>) {
        let asked = self.worker_mut(key).filter(|worker| worker.life == Life::Asked);
        let (Some(worker), Claim::Proved(_) | Claim::Gone) = (asked, claim) else {
            let violation = if claim == Claim::False { Violation::NotItsChild } else { Violation::NotAskedFor };
            return out.push(Action::Refuse { key, pid, violation });
        };
        worker.life = Life::Forked;
        worker.pid = Some(pid);
        // One that is gone has ended already; its end is reported next.
        worker.born = if let Claim::Proved(born) = claim { Some(born) } else { None };
        out.push(Action::Started { key, pid, replaces: worker.replaces });
        if let Some(pool) = self.pool_mut(key) {
            pool.unforked = 0;
        }
    }

    /// A zygote says that a worker has ended.
    pub(super) fn end_reported(&mut self, key: WorkerKey, pid: i32, exit: Exit, runs: bool, out: &mut Vec<Action>) {
        // It may mean a worker that had the slot before.
        if self.worker(key).is_none_or(|worker| worker.pid != Some(pid)) {
            return;
        }
        out.push(if runs {
            Action::Refuse { key, pid, violation: Violation::StillRuns }
        } else {
            Action::Collect(key, exit)
        });
    }

    /// The process of a worker is known to have been started then.
    pub(crate) fn set_start_time(&mut self, key: WorkerKey, born: u64) {
        if let Some(worker) = self.worker_mut(key) {
            worker.born = Some(born);
        }
    }

    /// How a worker's end is logged; `None`: it is not known.
    pub(super) fn report_exit(&self, now: Moment, key: WorkerKey, exit: Exit) -> Option<Action> {
        let worker = self.worker(key)?;
        let draining = self.generation(key.generation).is_none_or(|g| g.phase == Phase::Draining);
        let retired = worker.retired.is_some();
        let told = self.goal != Goal::Serve || worker.orphan || ((draining || retired) && exit == Exit::Code(0));
        let level = match exit {
            _ if told => Level::Debug,
            Exit::Code(0) => Level::Notice,
            _ => Level::Warning,
        };
        let (pid, lived) = (worker.pid.unwrap_or(0), now.since(worker.since));
        Some(Action::WorkerEnded(key, WorkerEnd { pid, exit, retired, lived, level }))
    }

    /// How a zygote's end is logged.
    pub(super) fn report_zygote_exit(&self, key: ZygoteKey, pid: i32, exit: Exit) -> Action {
        let told = matches!(self.zygote(key), Some(Zygote::Dismissed(_) | Zygote::Gone));
        let level = if self.goal != Goal::Serve || told { Level::Debug } else { Level::Warning };
        Action::ZygoteEnded(key, ZygoteEnd { pid, exit, level })
    }
}
