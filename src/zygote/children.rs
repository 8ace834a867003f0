//! The workers of a zygote and the channels to them.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use nix::unistd::Pid;

use crate::ipc::{Channel, Incoming, ToWorker, WorkerSays};

/// One worker.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pool: usize,
    pub(super) slot: u32,
    pub(super) reported: Reported,
    /// `None` after the worker has closed its end.
    pub(super) channel: Option<Channel<ToWorker, WorkerSays>>,
}

/// The messages that a worker has sent so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reported {
    failed: bool,
    accepting: bool,
    left: bool,
}

impl Reported {
    /// Notes a message; returns whether it is the first of its kind.
    pub(super) fn note(&mut self, message: &WorkerSays) -> bool {
        let reported = match message {
            WorkerSays::Failed(_) => &mut self.failed,
            WorkerSays::Accepting => &mut self.accepting,
            WorkerSays::Left => &mut self.left,
        };
        !std::mem::replace(reported, true)
    }
}

/// The most messages that are read from the channel of a dead worker, which sends at most three in its life.
const MOST_FINAL: usize = 16;

impl Child {
    /// The messages that a dead worker has left in its channel.
    pub(super) fn final_messages(&mut self) -> Vec<WorkerSays> {
        let Some(channel) = &mut self.channel else { return Vec::new() };
        let heard = std::iter::from_fn(|| match channel.receive() {
            Incoming::Message(message, _) => Some(message),
            _ => None,
        });
        heard.take(MOST_FINAL).collect()
    }
}

/// All workers of a zygote, by process id.
#[derive(Debug, Default)]
pub(super) struct Children {
    by_pid: HashMap<i32, Child>,
}

impl Children {
    pub(super) fn insert(&mut self, pid: Pid, child: Child) {
        self.by_pid.insert(pid.as_raw(), child);
    }

    pub(super) fn get_mut(&mut self, pid: i32) -> Option<&mut Child> {
        self.by_pid.get_mut(&pid)
    }

    pub(super) fn remove(&mut self, pid: Pid) -> Option<Child> {
        self.by_pid.remove(&pid.as_raw())
    }

    /// The process id of the child in that slot. Signals are only sent to children that weren't reaped.
    pub(super) fn find(&self, pool: usize, slot: u32) -> Option<Pid> {
        let found = self.by_pid.iter().find(|(_, c)| c.pool == pool && c.slot == slot);
        found.map(|(pid, _)| Pid::from_raw(*pid))
    }

    /// The channels to a pool's workers.
    pub(super) fn channels_of(&mut self, pool: usize) -> impl Iterator<Item = &mut Channel<ToWorker, WorkerSays>> {
        self.by_pid.values_mut().filter(move |child| child.pool == pool).filter_map(|child| child.channel.as_mut())
    }

    /// Sends queued messages.
    pub(super) fn flush(&mut self) {
        self.by_pid.values_mut().filter_map(|child| child.channel.as_mut()).for_each(Channel::flush);
    }

    pub(super) fn is_backed_up(&self) -> bool {
        self.by_pid.values().filter_map(|child| child.channel.as_ref()).any(Channel::is_backed_up)
    }

    /// The slots of a pool's children that haven't reported that they exit.
    pub(super) fn of_pool(&self, pool: usize) -> impl Iterator<Item = u32> {
        self.by_pid.values().filter(move |c| c.pool == pool && !c.reported.left).map(|c| c.slot)
    }

    /// The child in that slot.
    pub(super) fn find_mut(&mut self, pool: usize, slot: u32) -> Option<&mut Child> {
        self.by_pid.values_mut().find(|c| c.pool == pool && c.slot == slot)
    }

    /// Sends a message to all workers.
    pub(super) fn tell_all(&mut self, message: ToWorker) {
        let channels = self.by_pid.values_mut().filter_map(|child| child.channel.as_mut());
        channels.for_each(|channel| channel.send(&message, Vec::new()));
    }

    /// Pool and slot of the children that haven't reported that they exit.
    pub(super) fn staying(&self) -> impl Iterator<Item = (usize, u32)> {
        self.by_pid.values().filter(|c| !c.reported.left).map(|c| (c.pool, c.slot))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::message;

    #[test]
    fn a_dead_worker_has_so_many_final_messages() {
        let (ours, theirs) = message::pair().unwrap();
        let mut worker = Channel::<WorkerSays, ToWorker>::new(theirs);
        let mut child = Child { pool: 0, slot: 0, reported: Reported::default(), channel: Some(Channel::new(ours)) };
        assert_eq!(child.final_messages(), []);
        worker.send(&WorkerSays::Accepting, Vec::new());
        worker.send(&WorkerSays::Left, Vec::new());
        assert_eq!(child.final_messages(), [WorkerSays::Accepting, WorkerSays::Left]);
        for _ in 0..100 {
            worker.send(&WorkerSays::Accepting, Vec::new());
        }
        assert_eq!(child.final_messages().len(), MOST_FINAL);
    }
}
