//! What a zygote is given when it is started, in a memfd: its pools and the numbers of its descriptors.

use serde::{Deserialize, Serialize};

use super::trust::Trust;
use crate::config::PoolConfig;
use crate::engine::EngineOptions;
use crate::log::{Format, Level};
use crate::sys::ids::Identity;
use crate::sys::limits::FileLimits;

/// A zygote's life in one value. Nothing is read from the configuration file again: a generation is a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZygoteSpec {
    /// Unique in its generation, for messages.
    pub group: String,
    /// The generation's number, for messages and the title.
    pub generation: u32,
    /// Who to become before PHP starts; `None`: stay (not root, or a group of several users).
    pub identity: Option<Identity>,
    /// How to start PHP.
    pub engine: EngineOptions,
    /// Where its orders come from.
    pub control_fd: i32,
    /// The pipe that it speaks to the supervisor by. None: the supervisor is of a former version and listens where the orders
    /// come from.
    #[serde(default, rename = "voice_fd")]
    pub reports_fd: Option<i32>,
    /// At its end from the moment that its workers are to take nothing new.
    pub drain_fd: i32,
    /// `log_level`.
    pub log_level: Level,
    /// `log_format`, for its workers.
    #[serde(default)]
    pub log_format: Format,
    /// Its pools.
    pub pools: Vec<PoolSpec>,
    /// How many times logs have been opened anew.
    #[serde(default)]
    pub reopened: u64,
    /// SIGTERM and SIGINT ask its workers to finish (`on_sigterm`).
    #[serde(default)]
    pub graceful: bool,
    /// What RLIMIT_NOFILE was when the supervisor started, soft and hard.
    pub nofile: FileLimits,
}

/// One pool of a zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// The section.
    pub config: PoolConfig,
    /// Its listening sockets.
    pub listen_fds: Vec<i32>,
    /// How many workers it is to have.
    pub size: u32,
    /// Its scoreboard and the number of slots in it.
    pub scoreboard_fd: i32,
    /// The pool's counters, which it shares with its other generations.
    pub totals_fd: i32,
    /// Number of slots.
    pub slots: u32,
    /// Its access log, if it has one.
    #[serde(default)]
    pub access_log_fd: Option<i32>,
    /// Who its workers become; `None`: stay.
    pub identity: Option<Identity>,
    /// `listen.allowed_clients` and the like stay in `config`.
    pub environment: Vec<(String, String)>,
}

impl ZygoteSpec {
    /// Whose code runs in that pool's workers.
    #[must_use]
    pub fn trust(&self, pool: &PoolSpec) -> Trust {
        Trust::of(&pool.config, pool.identity.as_ref().or(self.identity.as_ref()))
    }
}
