//! The base zygotes of the supervisor, and what they are asked. `base_control` starts and hears them.
#![forbid(unsafe_code)]

mod channels;
mod state;

use std::collections::BTreeMap;

use nix::unistd::Pid;

use crate::ipc::{FromBase, OrderSender, ReportReceiver};
use crate::plan::base::{BaseId, BasePlan};
use crate::plan::fleet::ZygoteKey;
use crate::sys::clock::Moment;
pub(crate) use channels::{Asked, Pending};
pub(crate) use state::BaseState;

/// How lines about the pipe of a base zygote name it, in place of a group.
pub(crate) const NAME: &str = "base zygote";

/// All base zygotes.
#[derive(Debug, Default)]
pub(crate) struct Bases {
    /// By id.
    pub(crate) bases: BTreeMap<BaseId, Base>,
    last: BaseId,
    /// The way of orders to zygotes that are wanted and were not asked for yet.
    pub(crate) pending: BTreeMap<ZygoteKey, Pending>,
    /// What was prepared for zygotes that are asked for, by request.
    pub(crate) asked: BTreeMap<(BaseId, u64), Asked>,
}

/// A base zygote, with or without a process.
#[derive(Debug)]
pub(crate) struct Base {
    /// The number of the generation that it was started for.
    pub(crate) generation: u32,
    pub(crate) plan: BasePlan,
    pub(crate) process: Option<BaseProcess>,
    /// A group has had it.
    pub(crate) used: bool,
}

#[derive(Debug)]
pub(crate) struct BaseProcess {
    /// Its pid; it is our child.
    pub(crate) pid: Pid,
    pub(crate) orders: OrderSender,
    pub(crate) reports: ReportReceiver<FromBase>,
    pub(crate) token: u64,
    /// The version of the protocol that it is to speak.
    pub(crate) protocol: u32,
    /// It has ended: its pid may be another process's.
    pub(crate) reaped: bool,
    /// It has said which protocol it speaks.
    pub(crate) known: bool,
    /// The user that it was started for; `None`: not known, or that of the supervisor.
    pub(crate) uid: Option<u32>,
    /// It was stopped (SIGSTOP) at the last look.
    pub(crate) was_stopped: bool,
}

impl Bases {
    /// Adds one for the generation with that number.
    pub(crate) fn add(&mut self, generation: u32) -> BaseId {
        self.last.0 += 1;
        let base = Base { generation, plan: BasePlan::default(), process: None, used: false };
        self.bases.insert(self.last, base);
        self.last
    }

    /// One of them.
    pub(crate) fn get_mut(&mut self, id: BaseId) -> Option<&mut Base> {
        self.bases.get_mut(&id)
    }

    /// Its pid; 0 without a process.
    pub(crate) fn pid(&self, id: BaseId) -> i32 {
        self.bases.get(&id).and_then(|base| base.process.as_ref()).map_or(0, |process| process.pid.as_raw())
    }

    /// Whether a base zygote has that pid.
    pub(crate) fn has_pid(&self, pid: i32) -> bool {
        self.processes().any(|process| process.pid.as_raw() == pid)
    }

    /// The base zygote with that pid.
    pub(crate) fn of_pid(&self, pid: Pid) -> Option<BaseId> {
        let of = |base: &Base| base.process.as_ref().is_some_and(|process| process.pid == pid);
        self.bases.iter().find(|(_, base)| of(base)).map(|(id, _)| *id)
    }

    /// Whether that group waits for its zygote.
    pub(crate) fn is_awaited(&self, key: ZygoteKey) -> bool {
        self.bases.values().any(|base| base.plan.is_wanted(key))
    }

    /// The group does not want a zygote any more. One that is forked already exits: its way of orders has ended.
    pub(crate) fn cancel(&mut self, key: ZygoteKey) {
        self.bases.values_mut().for_each(|base| base.plan.cancel(key));
        self.pending.remove(&key);
        self.asked.retain(|_, asked| asked.zygote != key);
    }

    /// The way of orders to a zygote that is not there yet.
    pub(crate) fn orders_mut(&mut self, key: ZygoteKey) -> Option<&mut OrderSender> {
        if let Some(pending) = self.pending.get_mut(&key) {
            return Some(&mut pending.orders);
        }
        self.asked.values_mut().find(|asked| asked.zygote == key).map(|asked| &mut asked.orders)
    }

    /// Whether there are orders that a base zygote has not taken yet.
    pub(crate) fn orders_wait(&self) -> bool {
        self.processes().any(|process| process.orders.is_backed_up())
    }

    /// When `attend_to_bases` is due.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.bases.values().filter_map(|base| base.plan.deadline()).min()
    }

    fn processes(&self) -> impl Iterator<Item = &BaseProcess> {
        self.bases.values().filter_map(|base| base.process.as_ref())
    }
}
