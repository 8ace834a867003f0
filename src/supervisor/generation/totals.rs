//! The pools' counters. A pool keeps them through reloads for as long as a configuration names it. A pool that changes its user
//! gets new memory, because processes of the former user can still write to the old one; its numbers go on. The memory of a pool that
//! never had a zygote is not touched.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::ipc::Trust;
use crate::scoreboard::{Counter, Totals};
use crate::sys::{clock, inherited};

/// The counters of all pools.
#[derive(Debug, Default)]
pub(crate) struct PoolTotals {
    /// The latest of a name is the last one.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    pool: String,
    /// `None`: no pool uses them any more.
    trust: Option<Trust>,
    fd: OwnedFd,
    totals: Totals,
}

impl PoolTotals {
    /// The counters of that pool, new ones if it has none yet.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn open(&mut self, pool: &str, trust: &Trust) -> io::Result<RawFd> {
        let latest = self.entries.iter().rfind(|entry| entry.pool == pool);
        // Memory of a former version has no place for all that this one counts.
        let fits = |entry: &&Entry| entry.trust.as_ref() == Some(trust) && !entry.totals.is_smaller();
        if let Some(entry) = latest.filter(fits) {
            return Ok(entry.fd.as_raw_fd());
        }
        let fd = Totals::create()?;
        let mut totals = Totals::map_unpublished(fd.as_fd(), &[])?;
        totals.set(Counter::Started, clock::wall_seconds());
        if let Some(former) = self.latest(pool) {
            totals.carry_on(former);
        }
        let raw = fd.as_raw_fd();
        self.entries.push(Entry { pool: pool.to_owned(), trust: Some(trust.clone()), fd, totals });
        Ok(raw)
    }

    /// The counters with that descriptor are about to be passed to a process of the pool.
    pub(crate) fn publish(&mut self, fd: RawFd) {
        self.entries.iter_mut().filter(|entry| entry.fd.as_raw_fd() == fd).for_each(|entry| entry.totals.publish());
    }

    /// All are published: the next image may be one of another version.
    pub(crate) fn publish_all(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.totals.publish());
    }

    /// Takes over those of a former image; `trust_of` returns whose the counters with that descriptor are.
    ///
    /// # Errors
    /// A descriptor that isn't there or isn't what it should be.
    pub(crate) fn adopt(
        list: &[(String, RawFd)],
        unpublished: &BTreeMap<RawFd, Vec<u64>>,
        trust_of: impl Fn(RawFd) -> Option<Trust>,
    ) -> io::Result<Self> {
        let mut totals = Self::default();
        for (pool, raw) in list {
            let fd = inherited::adopt(*raw)?;
            let mapped = match unpublished.get(raw) {
                Some(values) => Totals::map_unpublished(fd.as_fd(), values)?,
                None => Totals::map(fd.as_fd())?,
            };
            totals.entries.push(Entry { pool: pool.clone(), trust: trust_of(*raw), fd, totals: mapped });
        }
        Ok(totals)
    }

    /// Names and descriptors, for the next image.
    #[must_use]
    pub(crate) fn descriptors(&self) -> Vec<(String, RawFd)> {
        self.entries.iter().map(|entry| (entry.pool.clone(), entry.fd.as_raw_fd())).collect()
    }

    /// The values of those that are not published, for the next image.
    #[must_use]
    pub(crate) fn unpublished(&self) -> BTreeMap<RawFd, Vec<u64>> {
        self.entries.iter().filter_map(|entry| Some((entry.fd.as_raw_fd(), entry.totals.unpublished()?))).collect()
    }

    /// The counters with that descriptor.
    #[must_use]
    pub(crate) fn get(&self, fd: RawFd) -> Option<&Totals> {
        self.entries.iter().find(|entry| entry.fd.as_raw_fd() == fd).map(|entry| &entry.totals)
    }

    /// All, by their descriptors.
    pub(crate) fn by_descriptor(&self) -> BTreeMap<RawFd, &Totals> {
        self.entries.iter().map(|entry| (entry.fd.as_raw_fd(), &entry.totals)).collect()
    }

    /// The memory with that number.
    #[must_use]
    pub(crate) fn descriptor(&self, fd: RawFd) -> Option<BorrowedFd<'_>> {
        self.entries.iter().find(|entry| entry.fd.as_raw_fd() == fd).map(|entry| entry.fd.as_fd())
    }

    /// The latest of each name.
    #[must_use]
    pub(crate) fn latest_of_all(&self) -> BTreeMap<&str, &Totals> {
        self.entries.iter().map(|entry| (entry.pool.as_str(), &entry.totals)).collect()
    }

    /// The latest of that name.
    #[must_use]
    pub(crate) fn latest(&self, pool: &str) -> Option<&Totals> {
        self.entries.iter().rfind(|entry| entry.pool == pool).map(|entry| &entry.totals)
    }

    /// Of all pools.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Totals> {
        self.entries.iter().map(|entry| &entry.totals)
    }

    /// Forgets those that no pool has any more.
    pub(crate) fn retain(&mut self, is_used: impl Fn(RawFd) -> bool) {
        self.entries.retain(|entry| is_used(entry.fd.as_raw_fd()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::ids::Identity;

    fn user(uid: u32) -> Trust {
        Trust::in_place(Some(&Identity { uid, gid: uid, groups: vec![uid] }), None, None)
    }

    #[test]
    fn another_user_gets_the_numbers_and_not_the_memory() {
        let mut totals = PoolTotals::default();
        let first = totals.open("www", &user(1)).unwrap();
        totals.get(first).unwrap().add(Counter::Requests, 5);
        totals.get(first).unwrap().set(Counter::Active, 2);
        assert_eq!(totals.open("www", &user(1)).unwrap(), first);
        let second = totals.open("www", &user(2)).unwrap();
        assert_ne!(first, second);
        totals.get(first).unwrap().add(Counter::Requests, 100);
        let next = totals.latest("www").unwrap();
        assert_eq!((next.get(Counter::Requests), next.get(Counter::Active)), (5, 0));
        // The former memory is there as long as it is used. Where the former user returns, the latest numbers go on.
        let third = totals.open("www", &user(1)).unwrap();
        assert_eq!(totals.get(third).unwrap().get(Counter::Requests), 5);
        assert!(third != first && totals.get(first).is_some());
        totals.retain(|fd| fd == third);
        assert!(totals.get(first).is_none());
    }
}
