//! Base zygotes in the state that a reload hands over: they serve on for the groups that have them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::ipc::{OrderSender, ReportReceiver};
use crate::plan::base::{BaseId, BasePlan};
use crate::supervisor::bases::{Base, BaseProcess, Bases, NAME};
use crate::sys::inherited;

/// A base zygote by descriptor numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BaseState {
    id: BaseId,
    generation: u32,
    plan: BasePlan,
    process: Option<ProcessState>,
    used: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ProcessState {
    pid: i32,
    orders: RawFd,
    reports: RawFd,
    protocol: u32,
    known: bool,
    #[serde(default)]
    uid: Option<u32>,
}

impl BaseState {
    /// The descriptors that are to survive the exec.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.process.iter().flat_map(|process| [process.orders, process.reports])
    }
}

impl Bases {
    /// For the next image. Zygotes that were asked for are asked for again there.
    pub(crate) fn state(&self) -> Vec<BaseState> {
        let state = |(id, base): (&BaseId, &Base)| {
            let mut plan = base.plan.clone();
            plan.wait_again();
            let process = base.process.as_ref().map(|process| ProcessState {
                pid: process.pid.as_raw(),
                orders: process.orders.as_fd().as_raw_fd(),
                reports: process.reports.as_fd().as_raw_fd(),
                protocol: process.protocol,
                known: process.known,
                uid: process.uid,
            });
            BaseState { id: *id, generation: base.generation, plan, process, used: base.used }
        };
        self.bases.iter().map(state).collect()
    }

    /// Takes over those of a former image.
    ///
    /// # Errors
    /// A descriptor that isn't there.
    pub(crate) fn adopt(states: &[BaseState]) -> io::Result<Self> {
        let mut bases = Self::default();
        for state in states {
            let process = state.process.as_ref().map(|process| {
                let (orders, reports) = (inherited::adopt(process.orders)?, inherited::adopt(process.reports)?);
                Ok::<_, io::Error>(BaseProcess {
                    pid: Pid::from_raw(process.pid),
                    orders: OrderSender::new(orders, 0),
                    reports: ReportReceiver::new(reports, NAME),
                    token: 0,
                    protocol: process.protocol,
                    reaped: false,
                    known: process.known,
                    uid: process.uid,
                    was_stopped: false,
                })
            });
            let base = Base {
                generation: state.generation,
                plan: state.plan.clone(),
                process: process.transpose()?,
                used: state.used,
            };
            bases.bases.insert(state.id, base);
            bases.last = bases.last.max(state.id);
        }
        Ok(bases)
    }
}
