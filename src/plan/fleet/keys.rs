//! Keys of generations, zygotes, pools and workers.

use serde::{Deserialize, Serialize};

/// A generation: one group as one reading of the configuration has it. Unique; ascends, also through reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct GenerationId(pub u32);

/// A zygote: the group's place in its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ZygoteKey {
    /// The generation.
    pub generation: GenerationId,
    /// Index of the group.
    pub group: usize,
}

/// A worker: its slot in its pool's scoreboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct WorkerKey {
    /// The generation.
    pub generation: GenerationId,
    /// Index of the group.
    pub group: usize,
    /// Index of the pool in the group.
    pub pool: usize,
    /// Index in the scoreboard.
    pub slot: u32,
}

/// A pool of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct PoolKey {
    /// Its zygote.
    pub zygote: ZygoteKey,
    /// Index of the pool in the group.
    pub pool: usize,
}

impl GenerationId {
    /// The zygote of its group. Only generations of a former version may have several.
    #[must_use]
    pub(crate) fn zygote(self) -> ZygoteKey {
        ZygoteKey { generation: self, group: 0 }
    }
}

impl WorkerKey {
    /// Its pool.
    #[must_use]
    pub(crate) fn of_pool(self) -> PoolKey {
        PoolKey { zygote: self.zygote(), pool: self.pool }
    }

    /// Its zygote.
    #[must_use]
    pub(crate) fn zygote(self) -> ZygoteKey {
        ZygoteKey { generation: self.generation, group: self.group }
    }
}

impl PoolKey {
    /// A worker of this pool.
    #[must_use]
    pub(crate) fn worker(self, slot: u32) -> WorkerKey {
        self.zygote.worker(self.pool, slot)
    }
}

impl ZygoteKey {
    /// A pool of this zygote's.
    #[must_use]
    pub(crate) fn of_pool(self, pool: usize) -> PoolKey {
        PoolKey { zygote: self, pool }
    }

    /// A worker of this zygote.
    #[must_use]
    pub(crate) fn worker(self, pool: usize, slot: u32) -> WorkerKey {
        WorkerKey { generation: self.generation, group: self.group, pool, slot }
    }
}
