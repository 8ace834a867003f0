//! The consequences of crashes of workers: a new zygote with new shared memory for their group, pauses for their pool.

use crate::plan::crashes::End;
use crate::plan::fleet::action::{Action, Remark};
use crate::plan::fleet::keys::{PoolKey, WorkerKey, ZygoteKey};
use crate::plan::fleet::members::{Phase, Zygote};
use crate::plan::fleet::pool::{Life, PoolState};
use crate::plan::fleet::renewal::Renewal;
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::view::View;
use crate::sys::clock::Moment;
use crate::sys::process::Exit;

impl Fleet {
    /// What follows from the end of a worker that has waited for requests and has begun so many, if that is known.
    pub(super) fn note_failure(
        &mut self,
        now: Moment,
        key: WorkerKey,
        end: (Exit, Option<u64>),
        out: &mut Vec<Action>,
    ) {
        let (exit, requests) = end;
        let serving = self.generation(key.generation).is_some_and(|g| g.phase != Phase::Draining);
        let worker = self.worker(key).filter(|w| matches!(w.life, Life::Accepting | Life::Leaving));
        let Some(worker) = worker.filter(|_| serving) else { return };
        let end = End { exit, requests, untold: worker.stays(), age: now.since(worker.since) };
        if let Some(pool) = self.pool_mut(key) {
            if end.is_regular() {
                pool.forget_crashes();
            } else if end.is_of_loop() && pool.crash_loop.note() {
                out.push(Action::Remark(key.of_pool(), Remark::CrashLoop));
            }
        }
        if exit.is_crash() {
            self.count_crash(now, key, out);
        }
    }

    fn count_crash(&mut self, now: Moment, key: WorkerKey, out: &mut Vec<Action>) {
        let rule = self.emergency;
        let Some(group) = self.group_mut(key.zygote()) else { return };
        if group.crashes.note(now, rule) && matches!(group.zygote, Zygote::Up(_)) {
            self.replace_memory(now, key.zygote(), out);
        }
    }

    /// The group's shared memory may be damaged. The present workers serve on until new ones with new memory do: mostly the memory is
    /// not damaged, and a script has crashed. If it is, pauses between workers limit how many requests crash meanwhile (`end_loops`).
    fn replace_memory(&mut self, now: Moment, key: ZygoteKey, out: &mut Vec<Action>) {
        let emergency = Action::Emergency(key, self.emergency);
        match self.renew(now, key.generation) {
            Renewal::Begins => out.push(emergency),
            Renewal::Waits(time) => out.extend([emergency, Action::RenewalWaits(key, time)]),
            Renewal::Expected => {}
            // Its workers become orphans, finish their requests and end; the same generation goes on with another zygote.
            Renewal::Refused => out.extend([emergency, Action::KillZygote(key)]),
        }
    }

    /// Ends the pauses of pools whose workers outlive their first request again.
    pub(super) fn end_loops(&mut self, view: &dyn View) {
        for generation in self.generations.iter_mut().filter(|g| g.phase != Phase::Draining) {
            let id = generation.id;
            for (group, g) in generation.groups.iter_mut().enumerate() {
                let zygote = ZygoteKey { generation: id, group };
                let suspected = g.pools.iter_mut().enumerate().filter(|(_, p)| p.crash_loop.is_suspected());
                suspected.for_each(|(index, pool)| pool.end_loop(zygote.of_pool(index), view));
            }
        }
    }
}

impl PoolState {
    fn end_loop(&mut self, key: PoolKey, view: &dyn View) {
        let outlived = |slot: u32| match view.requests(key.worker(slot)) {
            0 => false,
            1 => !view.is_busy(key.worker(slot)),
            _ => true,
        };
        if self.workers.iter().any(|(slot, w)| w.life == Life::Accepting && outlived(*slot)) {
            self.forget_crashes();
        }
    }

    /// A worker has served a request: the next one is forked at once.
    fn forget_crashes(&mut self) {
        if self.crash_loop.is_suspected() {
            self.crash_loop.end();
            self.not_before = Moment::default();
        }
    }
}
