//! The pools' counters. A pool keeps them through reloads for as long as a configuration names it. A pool that changes its user
//! gets new memory, because processes of the former user can still write to the old one; its numbers go on.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use crate::ipc::Trust;
use crate::scoreboard::Totals;
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
        if let Some(entry) = latest.filter(|entry| entry.trust.as_ref() == Some(trust)) {
            return Ok(entry.fd.as_raw_fd());
        }
        let fd = Totals::create(clock::wall_seconds())?;
        if let Some(former) = self.latest(pool) {
            Totals::map(fd.as_fd())?.carry_on(former);
        }
        self.insert(pool, Some(trust.clone()), fd)
    }

    fn insert(&mut self, pool: &str, trust: Option<Trust>, fd: OwnedFd) -> io::Result<RawFd> {
        let totals = Totals::map(fd.as_fd())?;
        let raw = fd.as_raw_fd();
        self.entries.push(Entry { pool: pool.to_owned(), trust, fd, totals });
        Ok(raw)
    }

    /// Takes over those of a former image; `trust_of` returns whose the counters with that descriptor are.
    ///
    /// # Errors
    /// A descriptor that isn't there or isn't what it should be.
    pub(crate) fn adopt(list: &[(String, RawFd)], trust_of: impl Fn(RawFd) -> Option<Trust>) -> io::Result<Self> {
        let mut totals = Self::default();
        for (pool, raw) in list {
            totals.insert(pool, trust_of(*raw), inherited::adopt(*raw)?)?;
        }
        Ok(totals)
    }

    /// Names and descriptors, for the next image.
    #[must_use]
    pub(crate) fn descriptors(&self) -> Vec<(String, RawFd)> {
        self.entries.iter().map(|entry| (entry.pool.clone(), entry.fd.as_raw_fd())).collect()
    }

    /// The counters with that descriptor.
    #[must_use]
    pub(crate) fn get(&self, fd: RawFd) -> Option<&Totals> {
        self.entries.iter().find(|entry| entry.fd.as_raw_fd() == fd).map(|entry| &entry.totals)
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
    use crate::scoreboard::Counter;
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
