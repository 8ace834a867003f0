//! The specification that a new zygote gets in a memfd: its pools and the numbers of its descriptors.

use serde::{Deserialize, Serialize};

use super::trust::{DirectoryId, Trust};
use crate::config::PoolConfig;
use crate::engine::{EngineOptions, Program};
use crate::log::{Format, Level};
use crate::sys::ids::Identity;
use crate::sys::limits::FileLimits;
use crate::sys::process_limits::ProcessLimits;

/// Everything that a zygote needs. It doesn't read the configuration file: a generation is a snapshot of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ZygoteSpec {
    /// The name of the group, unique in its generation.
    pub group: String,
    /// The generation's number, for messages and the title.
    pub generation: u32,
    /// Who to become before PHP starts; `None`: stay (not root, or a group of several users).
    pub identity: Option<Identity>,
    /// How to start PHP: what the command line and the pools say. The zygote adds the defaults of its own program.
    pub engine: EngineOptions,
    /// The program; `None`: that of the supervisor.
    #[serde(default)]
    pub program: Option<Program>,
    /// The version of the protocol that supervisor and program have in common; `None`: that of the supervisor.
    #[serde(default)]
    pub protocol: Option<u32>,
    /// The receiving end of its orders.
    pub control_fd: i32,
    /// The pipe for its reports. `None`: the supervisor is of an older version and reads reports from the socket of
    /// the orders.
    #[serde(default, rename = "voice_fd")]
    pub reports_fd: Option<i32>,
    /// The drain signal: a pipe that ends when the workers have to drain.
    pub drain_fd: i32,
    /// `log_level`.
    pub log_level: Level,
    /// `log_format`, for its workers.
    #[serde(default)]
    pub log_format: Format,
    /// Its pools.
    pub pools: Vec<PoolSpec>,
    /// How many times the logs have been opened again.
    #[serde(default)]
    pub reopened: u64,
    /// SIGTERM and SIGINT ask its workers to finish (`on_sigterm`).
    #[serde(default)]
    pub graceful: bool,
    /// RLIMIT_NPROC for its workers. The supervisor removes that of the zygote. `None`: the supervisor is of an older
    /// version, which does not.
    #[serde(default)]
    pub processes: Option<ProcessLimits>,
    /// What RLIMIT_NOFILE was when the supervisor started, soft and hard.
    pub nofile: FileLimits,
    /// The supervisor understands `ToSupervisor::Files`.
    #[serde(default)]
    pub tell_files: bool,
}

/// One pool of a zygote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolSpec {
    /// The section of the configuration file.
    pub config: PoolConfig,
    /// Its listening sockets.
    pub listen_fds: Vec<i32>,
    /// How many workers it starts with.
    pub size: u32,
    /// Its scoreboard.
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
    /// Which directory its `chroot` was when the pool was prepared, if it could be reached.
    #[serde(default)]
    pub root: Option<DirectoryId>,
    /// `listen.allowed_clients` and the like stay in `config`.
    pub environment: Vec<(String, String)>,
}

impl ZygoteSpec {
    /// The numbers of all descriptors that it names, to read or to change.
    pub(crate) fn descriptors_mut(&mut self) -> impl Iterator<Item = &mut i32> {
        let pools = self.pools.iter_mut().flat_map(|pool| {
            let own = [&mut pool.scoreboard_fd, &mut pool.totals_fd];
            pool.listen_fds.iter_mut().chain(own).chain(&mut pool.access_log_fd)
        });
        [&mut self.control_fd, &mut self.drain_fd].into_iter().chain(&mut self.reports_fd).chain(pools)
    }

    /// How many descriptors a zygote gets with it.
    #[must_use]
    pub(crate) fn descriptor_count(&self) -> usize {
        const CHANNELS: usize = 3;
        let of_pool = |pool: &PoolSpec| pool.listen_fds.len() + 2 + usize::from(pool.access_log_fd.is_some());
        CHANNELS + self.pools.iter().map(of_pool).sum::<usize>()
    }

    /// The trust of that pool's workers.
    #[must_use]
    pub(crate) fn trust(&self, pool: &PoolSpec) -> Trust {
        Trust::of(&pool.config, pool.identity.as_ref().or(self.identity.as_ref()), pool.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, LoadOptions};

    #[test]
    fn all_descriptors_are_counted() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("php-fpm.conf");
        let pool = "[www]\nuser = 7\nlisten = 9000\npm = static\npm.max_children = 1\n";
        std::fs::write(&file, format!("[global]\nerror_log = /dev/null\n{pool}")).unwrap();
        let load = LoadOptions { root: true, ..LoadOptions::default() };
        let config = config::load(&file, &load).unwrap().config.pools.remove(0);
        let pool = |access_log_fd| PoolSpec {
            config: config.clone(),
            listen_fds: vec![7, 8],
            size: 1,
            scoreboard_fd: 9,
            totals_fd: 10,
            slots: 1,
            access_log_fd,
            identity: None,
            root: None,
            environment: Vec::new(),
        };
        let mut spec = ZygoteSpec {
            group: "www".into(),
            generation: 1,
            identity: None,
            engine: EngineOptions::default(),
            program: None,
            protocol: None,
            control_fd: 3,
            reports_fd: Some(4),
            drain_fd: 5,
            log_level: Level::Notice,
            log_format: Format::Default,
            pools: vec![pool(None), pool(Some(11))],
            reopened: 0,
            graceful: false,
            processes: None,
            nofile: FileLimits { soft: 1, hard: 1 },
            tell_files: false,
        };
        assert_eq!(spec.descriptor_count(), 3 + 4 + 5);
        assert_eq!(spec.descriptors_mut().count(), spec.descriptor_count());
    }
}
