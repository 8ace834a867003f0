//! Everything that a group needs before its zygote starts: users, sockets, counters, scoreboards, access logs.

use std::os::fd::AsRawFd;

use crate::config::{LoadOptions, PoolConfig};
use crate::configured::Programs;
use crate::engine::EngineOptions;
use crate::ipc::{PoolSpec, Trust, ZygoteSpec};
use crate::log;
use crate::plan::fleet::PoolState;
use crate::scoreboard;
use crate::supervisor::generation::access_logs::Opened;
use crate::supervisor::generation::drain::Drain;
use crate::supervisor::generation::error::StartError;
use crate::supervisor::generation::resolve::{GroupDraft, PoolUser};
use crate::supervisor::generation::runtime::{GroupRuntime, PoolRuntime};
use crate::supervisor::generation::totals::PoolTotals;
use crate::supervisor::sockets::{Claim, Sockets};
use crate::sys::limits::FileLimits;
use crate::sys::named_file;

/// What groups are prepared with.
pub(crate) struct Preparation<'a> {
    /// The generation of the group.
    pub claim: Claim<'a>,
    /// Options of the command line.
    pub load: &'a LoadOptions,
    /// Options for PHP.
    pub engine: &'a EngineOptions,
    /// RLIMIT_NOFILE of zygotes and workers.
    pub nofile: FileLimits,
    /// All listening sockets.
    pub sockets: &'a mut Sockets,
    /// All pools' counters.
    pub totals: &'a mut PoolTotals,
    /// The programs that pools run with.
    pub programs: &'a mut Programs,
    /// Access logs that are open already.
    pub opened: &'a mut Opened,
}

impl Preparation<'_> {
    /// Prepares a group. If that fails, nothing is left of it but counters that no pool uses. It may be tried again.
    ///
    /// # Errors
    /// What the group lacks. Other groups are not affected.
    pub(crate) fn prepare(&mut self, draft: &mut GroupDraft) -> Result<GroupRuntime, StartError> {
        self.try_prepare(draft).inspect_err(|_| self.sockets.withdraw(self.claim.owner))
    }

    fn try_prepare(&mut self, draft: &mut GroupDraft) -> Result<GroupRuntime, StartError> {
        let users = draft.users(self.load)?;
        // All pools of a group have the same PHP.
        let first = draft.pools.first();
        let program = first.map_or(Ok(None), |pool| self.programs.of_pool(pool))?;
        let (mut pools, mut specs) = (Vec::new(), Vec::new());
        for (config, user) in draft.pools.iter().zip(users) {
            let (spec, pool) = self.prepare_pool(config, user, draft.identity.is_some())?;
            specs.push(spec);
            pools.push(pool);
        }
        let spec = ZygoteSpec {
            group: draft.name.clone(),
            generation: 0,
            identity: draft.identity.clone(),
            engine: first.map_or_else(|| self.engine.clone(), |pool| self.engine.of_pool(&pool.engine)),
            protocol: program.as_ref().map(|chosen| chosen.protocol),
            program: program.map(|chosen| chosen.program),
            control_fd: -1,
            reports_fd: None,
            drain_fd: -1,
            log_level: log::Level::Notice,
            log_format: log::Format::Default,
            pools: specs,
            reopened: 0,
            graceful: false,
            processes: None,
            nofile: self.nofile,
            tell_files: true,
        };
        let mut group = GroupRuntime::new(spec, Drain::Closed, pools);
        group.base = draft.base;
        group.open_access_logs(self.opened)?;
        Ok(group)
    }

    fn prepare_pool(
        &mut self,
        config: &PoolConfig,
        user: PoolUser,
        zygote_is_user: bool,
    ) -> Result<(PoolSpec, PoolRuntime), StartError> {
        let listen_fds = self.sockets.open(self.claim, config)?;
        let root = config.chroot.as_deref().and_then(named_file::directory_id);
        let trust = Trust::of(config, user.identity.as_ref(), root);
        let totals_fd = self
            .totals
            .open(&config.name, &trust)
            .map_err(|source| StartError::Counters { pool: config.name.clone(), source })?;
        let slots = PoolState::slots(config.pm_max_children);
        let scoreboard = scoreboard::create(slots)?;
        let spec = PoolSpec {
            config: config.clone(),
            listen_fds,
            size: config.pm_max_children,
            scoreboard_fd: scoreboard.as_raw_fd(),
            totals_fd,
            slots,
            root,
            access_log_fd: None,
            environment: user.environment(config),
            // Where the zygote runs as that user already, so do its workers.
            identity: user.identity.filter(|_| !zygote_is_user),
        };
        Ok((spec, PoolRuntime::new(scoreboard, slots, None)?))
    }
}
