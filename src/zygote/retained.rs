//! Copies of the idle connections that workers retain. The zygote does not read them, and `Holders` says who holds each. Every few milliseconds, as
//! long as there are any, it looks for workers that are inside a long request or seem to be stopped, and parks the idle connections of
//! these.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use crate::ipc::retained::RetainedPlace;
use crate::sys::clock::Moment;

/// A pool and a slot.
type Worker = (usize, u32);

/// What a worker did at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// It was inside a request.
    pub(super) busy: bool,
    /// How many requests it had begun.
    pub(super) requests: u64,
}

/// The retained connections of one worker.
#[derive(Debug, Default)]
pub(super) struct OfWorker {
    pub(super) copies: Vec<(RetainedPlace, OwnedFd)>,
    /// At the last look.
    pub(super) seen: Option<Seen>,
    /// At the last look, bytes waited for the worker, which had not begun a request since the look before.
    pub(super) awaited: bool,
}

/// All retained connections of a zygote's workers.
#[derive(Debug, Default)]
pub(super) struct RetainedConnections {
    workers: BTreeMap<Worker, OfWorker>,
    len: usize,
    /// A worker has left connections, which are not parked yet.
    pub(super) left: bool,
    /// When to look at them again.
    pub(super) next_look: Option<Moment>,
}

impl RetainedConnections {
    /// The number of descriptors.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The workers that retain connections.
    pub(super) fn workers(&self) -> Vec<Worker> {
        self.workers.keys().copied().collect()
    }

    /// The connections of a worker.
    pub(super) fn get_mut(&mut self, worker: Worker) -> Option<&mut OfWorker> {
        self.workers.get_mut(&worker)
    }

    /// Adds a copy. An earlier one in the same place is closed.
    pub(super) fn add(&mut self, worker: Worker, place: RetainedPlace, copy: OwnedFd) {
        let copies = &mut self.workers.entry(worker).or_default().copies;
        let before = copies.len();
        copies.retain(|(other, _)| other.index != place.index);
        copies.push((place, copy));
        self.len += copies.len() - before;
    }

    /// Takes the connections of a worker out for which `which` returns true.
    pub(super) fn take_out(
        &mut self,
        worker: Worker,
        which: impl Fn(RetainedPlace) -> bool,
    ) -> Vec<(RetainedPlace, OwnedFd)> {
        let Some(of) = self.workers.get_mut(&worker) else { return Vec::new() };
        let out: Vec<_> = of.copies.extract_if(.., |(place, _)| which(*place)).collect();
        self.len -= out.len();
        if of.copies.is_empty() {
            self.workers.remove(&worker);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_place_has_one_copy() {
        let mut all = RetainedConnections::default();
        let place = |index, serial| RetainedPlace { slot: 3, index, serial };
        for (index, serial) in [(0, 1), (1, 1), (0, 2), (0, 2)] {
            all.add((0, 3), place(index, serial), copy());
        }
        assert_eq!((all.len(), all.workers()), (2, vec![(0, 3)]));
        assert_eq!(all.take_out((0, 3), |place| place.serial == 2).len(), 1);
        assert_eq!(all.len(), 1);
        assert_eq!(all.take_out((0, 3), |_| true).len(), 1);
        assert_eq!((all.len(), all.workers()), (0, vec![]));
        assert!(all.take_out((0, 3), |_| true).is_empty());
    }
}
