//! How long a worker serves: `pm.max_requests` and `pm.max_memory`.
#![forbid(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

use crate::config::PoolConfig;
use crate::plan::exit_reason::ExitReason;
use crate::sys::clock;

/// From this many requests on, workers that started together don't exit together.
const MANY: u64 = 100;

/// What remains of a worker's lifetime.
#[derive(Debug)]
pub(super) struct Lifetime {
    /// Requests that are left; `None`: no limit.
    left: Option<u64>,
    memory: Option<Memory>,
}

/// A limit of resident memory.
#[derive(Debug)]
struct Memory {
    /// `/proc/self/statm`; `None` in a chroot without /proc, where the largest size so far counts (getrusage(2)).
    file: Option<File>,
    /// The size of a page.
    page: u64,
    /// In bytes.
    most: u64,
}

impl Lifetime {
    /// The lifetime of a new worker.
    #[must_use]
    pub(super) fn new(pool: &PoolConfig) -> Self {
        let seed = u64::from(std::process::id()) ^ clock::now().as_millis() << 16;
        let left = (pool.pm_max_requests > 0).then(|| requests(pool.pm_max_requests, seed));
        let memory = (pool.pm_max_memory > 0).then(|| Memory::limit(pool.pm_max_memory));
        Self { left, memory }
    }

    /// Counts a request. If it was the last one, returns why.
    pub(super) fn end(&mut self) -> Option<ExitReason> {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        if self.left == Some(0) {
            return Some(ExitReason::MaxRequests);
        }
        self.memory.as_ref().filter(|memory| memory.is_over()).map(|_| ExitReason::MaxMemory)
    }
}

/// How many requests a worker serves: `most`, or up to a tenth fewer if `most` is large.
fn requests(most: u64, seed: u64) -> u64 {
    if most < MANY {
        return most;
    }
    // The multiplier of splitmix64. The high bits of the product depend on all bits of the seed.
    let scattered = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    most - scattered % (most / 10 + 1)
}

impl Memory {
    fn limit(bytes: u64) -> Self {
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|n| u64::try_from(n).ok()).unwrap_or(4096);
        Self { file: File::open("/proc/self/statm").ok(), page: page.max(1), most: bytes }
    }

    fn is_over(&self) -> bool {
        let mut text = [0u8; 128];
        let bytes = match &self.file {
            Some(file) => {
                let length = file.read_at(&mut text, 0).unwrap_or(0);
                resident(text.get(..length).unwrap_or_default()).map(|pages| pages * self.page)
            }
            None => largest().map(|kilobytes| kilobytes * 1024),
        };
        bytes.is_some_and(|bytes| bytes > self.most)
    }
}

/// The largest resident size of this process so far, in kilobytes.
fn largest() -> Option<u64> {
    getrusage(UsageWho::RUSAGE_SELF).ok().and_then(|usage| u64::try_from(usage.max_rss()).ok())
}

/// The second number in `/proc/self/statm`: resident pages.
fn resident(statm: &[u8]) -> Option<u64> {
    std::str::from_utf8(statm).ok()?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_requests_are_exact_and_many_up_to_a_tenth_fewer() {
        assert!((0..100).all(|seed| requests(10, seed) == 10));
        let lives: Vec<u64> = (0..1000).map(|seed| requests(1000, seed)).collect();
        assert!(lives.iter().all(|n| (900..=1000).contains(n)));
        let different: std::collections::BTreeSet<_> = lives.iter().collect();
        assert!(different.len() > 50, "{}", different.len());
    }

    #[test]
    fn a_process_of_more_than_a_page_is_over_the_limit_of_a_page() {
        for file in [None, File::open("/proc/self/statm").ok()] {
            let memory = |most| Memory { file: file.as_ref().map(|file| file.try_clone().unwrap()), page: 4096, most };
            assert!(memory(4096).is_over());
            assert!(!memory(1 << 40).is_over());
        }
    }
}
