//! The pools' counters, by name: a pool keeps them through reloads for as long as a configuration names it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use crate::scoreboard::Totals;
use crate::sys::{clock, fd};

/// All of them.
#[derive(Debug, Default)]
pub struct Book {
    pools: BTreeMap<String, (OwnedFd, Totals)>,
}

impl Book {
    /// The counters of that pool, new ones if it has none yet.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub fn open(&mut self, pool: &str) -> io::Result<RawFd> {
        if let Some((fd, _)) = self.pools.get(pool) {
            return Ok(fd.as_raw_fd());
        }
        self.insert(pool, Totals::create(clock::wall_seconds())?)
    }

    fn insert(&mut self, pool: &str, fd: OwnedFd) -> io::Result<RawFd> {
        let totals = Totals::map(fd.as_fd())?;
        let raw = fd.as_raw_fd();
        self.pools.insert(pool.to_owned(), (fd, totals));
        Ok(raw)
    }

    /// Those of a former image.
    ///
    /// # Errors
    /// A descriptor that isn't there or isn't what it should be.
    pub fn adopt(list: &[(String, RawFd)]) -> io::Result<Self> {
        let mut book = Self::default();
        for (pool, raw) in list {
            book.insert(pool, fd::adopt(*raw)?)?;
        }
        Ok(book)
    }

    /// Names and descriptors, for the next image.
    #[must_use]
    pub fn descriptors(&self) -> Vec<(String, RawFd)> {
        self.pools.iter().map(|(pool, (fd, _))| (pool.clone(), fd.as_raw_fd())).collect()
    }

    /// The counters of that pool.
    #[must_use]
    pub fn get(&self, pool: &str) -> Option<&Totals> {
        self.pools.get(pool).map(|(_, totals)| totals)
    }

    /// Of all pools.
    pub fn all(&self) -> impl Iterator<Item = &Totals> {
        self.pools.values().map(|(_, totals)| totals)
    }

    /// Forgets pools that nobody has any more.
    pub fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.pools.retain(|pool, _| is_there(pool));
    }
}
