//! The zygote's duplicates of connections that workers keep.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use crate::ipc::kept::Offer;
use crate::sys::clock::Moment;

/// The duplicates of all pools.
#[derive(Debug, Default)]
pub(super) struct KeptByWorkers {
    /// By pool, slot and place.
    offers: BTreeMap<(usize, u32, u32), (Offer, OwnedFd)>,
    pub(super) watch: Option<Watch>,
}

/// The looks at workers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    /// When the next look is due.
    pub(super) next: Moment,
    /// The looks in a row at which no worker was inside a request.
    pub(super) quiet: u32,
}

impl KeptByWorkers {
    /// The number of descriptors.
    pub(super) fn len(&self) -> usize {
        self.offers.len()
    }

    /// A worker offers a connection.
    pub(super) fn offer(&mut self, pool: usize, offer: Offer, connection: OwnedFd) {
        self.offers.insert((pool, offer.slot, offer.place), (offer, connection));
    }

    /// The duplicate of that offer, which ends.
    pub(super) fn end(&mut self, pool: usize, offer: Offer) -> Option<OwnedFd> {
        let key = (pool, offer.slot, offer.place);
        self.offers.get(&key).filter(|(known, _)| *known == offer)?;
        self.offers.remove(&key).map(|(_, connection)| connection)
    }

    /// Removes the offers of a worker that `which` chooses.
    pub(super) fn remove(&mut self, pool: usize, slot: u32, which: impl Fn(Offer) -> bool) -> Vec<OwnedFd> {
        let of_slot = self.offers.range((pool, slot, 0)..=(pool, slot, u32::MAX));
        let chosen: Vec<_> = of_slot.filter(|(_, (offer, _))| which(*offer)).map(|(key, _)| *key).collect();
        chosen.into_iter().filter_map(|key| self.offers.remove(&key)).map(|(_, connection)| connection).collect()
    }

    /// The workers that have made offers.
    pub(super) fn workers(&self) -> Vec<(usize, u32)> {
        let mut workers: Vec<_> = self.offers.keys().map(|(pool, slot, _)| (*pool, *slot)).collect();
        workers.dedup();
        workers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::message;

    fn offer(slot: u32, serial: u64) -> Offer {
        Offer { slot, place: 3, serial }
    }

    #[test]
    fn an_offer_ends_once_and_a_later_one_replaces_it() {
        let mut kept = KeptByWorkers::default();
        let descriptor = || message::pair().unwrap().0;
        kept.offer(0, offer(1, 1), descriptor());
        kept.offer(0, offer(1, 2), descriptor());
        kept.offer(1, offer(1, 1), descriptor());
        assert_eq!((kept.len(), kept.workers()), (2, vec![(0, 1), (1, 1)]));
        assert!(kept.end(0, offer(1, 1)).is_none(), "it was replaced");
        assert!(kept.end(0, offer(1, 2)).is_some() && kept.end(0, offer(1, 2)).is_none());
        assert_eq!(kept.remove(1, 1, |_| false).len(), 0);
        assert_eq!(kept.remove(1, 1, |_| true).len(), 1);
        assert_eq!(kept.len(), 0);
    }
}
