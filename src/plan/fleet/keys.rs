//! How generations, zygotes and workers are told apart.

use serde::{Deserialize, Serialize};

/// A generation, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GenerationId(pub u32);

/// A zygote: the group's place in its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ZygoteKey {
    /// The generation.
    pub generation: GenerationId,
    /// Index of the group.
    pub group: usize,
}

/// A worker: its slot in its pool's scoreboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerKey {
    /// The generation.
    pub generation: GenerationId,
    /// Index of the group.
    pub group: usize,
    /// Index of the pool in the group.
    pub pool: usize,
    /// Index in the scoreboard.
    pub slot: u32,
}

impl WorkerKey {
    /// Its zygote.
    #[must_use]
    pub fn zygote(self) -> ZygoteKey {
        ZygoteKey { generation: self.generation, group: self.group }
    }
}

impl ZygoteKey {
    /// A worker of this zygote.
    #[must_use]
    pub fn worker(self, pool: usize, slot: u32) -> WorkerKey {
        WorkerKey { generation: self.generation, group: self.group, pool, slot }
    }
}
