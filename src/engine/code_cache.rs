//! Numbers of the opcode cache that the workers of a zygote share.
#![forbid(unsafe_code)]

/// How many numbers there are.
const COUNT: usize = 16;

/// A number of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheNumber {
    /// Bytes that scripts use.
    MemoryUsed = 0,
    /// Bytes that are free.
    MemoryFree = 1,
    /// Bytes of scripts that have changed since; only a restart of the cache frees them.
    MemoryWasted = 2,
    /// Bytes that interned strings use.
    StringsUsed = 3,
    /// Bytes that are free for interned strings.
    StringsFree = 4,
    /// Interned strings.
    Strings = 5,
    /// Keys: paths by which scripts are found.
    Keys = 6,
    /// How many keys there may be.
    KeysLimit = 7,
    /// Scripts in the cache.
    Scripts = 8,
    /// Bytes for machine code.
    JitSize = 9,
    /// Bytes of these that are free.
    JitFree = 10,
    /// Times that a script was found in the cache. From here on the numbers only rise, as long as the cache does not restart.
    Hits = 11,
    /// Times that a script was not in the cache.
    Misses = 12,
    /// Restarts because its memory was full.
    OomRestarts = 13,
    /// Restarts because there were too many keys.
    HashRestarts = 14,
    /// Restarts by `opcache_reset()`.
    ManualRestarts = 15,
}

/// The numbers at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CodeCache([u64; COUNT]);

impl CodeCache {
    /// The first of the numbers that only rise.
    pub const FIRST_RISING: usize = CacheNumber::Hits as usize;
    /// The numbers that only rise.
    pub const RISING: usize = COUNT - Self::FIRST_RISING;

    /// From the numbers in the order of [`CacheNumber`].
    #[must_use]
    pub fn of(number: impl FnMut(usize) -> u64) -> Self {
        Self(std::array::from_fn(number))
    }

    /// A number.
    #[must_use]
    pub fn get(&self, number: CacheNumber) -> u64 {
        self.0[number as usize]
    }

    /// Sets a number.
    pub fn set(&mut self, number: CacheNumber, value: u64) {
        self.0[number as usize] = value;
    }

    /// All numbers in order.
    #[must_use]
    pub fn all(&self) -> &[u64; COUNT] {
        &self.0
    }

    /// How many times the cache has restarted.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        let all = [CacheNumber::OomRestarts, CacheNumber::HashRestarts, CacheNumber::ManualRestarts];
        all.into_iter().fold(0, |sum, one| sum.wrapping_add(self.get(one)))
    }
}
