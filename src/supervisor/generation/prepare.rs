//! Everything that a group needs before its zygote starts: users, sockets, counters, scoreboards, access logs. What a directory of a
//! user or a program may delay is done by children, so the supervisor waits for none of it.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, RawFd};
use std::task::Poll;
use std::time::Instant;

use crate::config::{LoadOptions, PoolConfig};
use crate::configured::{Chosen, Programs};
use crate::engine::EngineOptions;
use crate::ipc::{PoolSpec, Trust, ZygoteSpec};
use crate::log;
use crate::plan::fleet::{GenerationId, PoolState};
use crate::scoreboard;
use crate::supervisor::generation::access_logs::Opened;
use crate::supervisor::generation::drain::Drain;
use crate::supervisor::generation::error::StartError;
use crate::supervisor::generation::lookup::Lookup;
use crate::supervisor::generation::names::{Names, PoolUser};
use crate::supervisor::generation::pool_paths::PoolPaths;
use crate::supervisor::generation::resolve::GroupDraft;
use crate::supervisor::generation::runtime::{GroupRuntime, PoolRuntime};
use crate::supervisor::generation::totals::PoolTotals;
use crate::supervisor::sockets::{Claim, Openings, Sockets};
use crate::sys::limits::FileLimits;
use crate::sys::named_file::DirectoryId;

/// What groups are prepared with.
pub(crate) struct Preparation<'a> {
    /// The generation of the group.
    pub owner: GenerationId,
    /// As in `Claim`.
    pub leaves: &'a dyn Fn(GenerationId) -> bool,
    /// Whose processes have a socket open that a pool of a generation listens on.
    pub trust_of_socket: &'a dyn Fn(GenerationId, RawFd) -> Option<Trust>,
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
}

/// A group whose preparation goes on.
#[derive(Debug)]
pub(crate) struct Preparing {
    /// `None`: the names are known.
    lookup: Option<Lookup>,
    users: Vec<PoolUser>,
    /// The program, if it is not the running one.
    program: Option<Chosen>,
    paths: PoolPaths,
    /// Whose code runs in the workers of each pool. Known once `paths` is over, which finds the root directories.
    trusts: BTreeMap<String, Trust>,
    openings: Openings,
    opened: Opened,
    stage: Stage,
}

/// What is under way. Each stage begins when the former one is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Users, groups and hosts are looked up.
    Names,
    /// The program of the group was asked which protocol it speaks.
    Program,
    /// Directories and slow logs are examined.
    Paths,
    /// Sockets are opened.
    Sockets,
    /// Access logs are opened, as far as this pool.
    AccessLogs(usize),
}

/// Most access logs of a group that are opened at the same time.
const AT_ONCE: usize = 8;

impl Preparation<'_> {
    /// Begins to prepare a group. It may be tried again.
    ///
    /// # Errors
    /// What the group lacks. Other groups are not affected.
    pub(crate) fn begin(&mut self, draft: &mut GroupDraft, opened: Opened) -> Result<Preparing, StartError> {
        let lookup = Some(Lookup::begin(draft.users.take(), &draft.pools, self.load)?);
        // All pools of a group have the same PHP.
        draft.pools.first().map_or(Ok(()), |pool| self.programs.ask(pool))?;
        let (users, paths, openings) = (Vec::new(), PoolPaths::default(), Openings::default());
        let (trusts, program, stage) = (BTreeMap::new(), None, Stage::Names);
        Ok(Preparing { lookup, users, program, paths, trusts, openings, opened, stage })
    }

    /// Goes on until then. `None`: it is not over.
    ///
    /// # Errors
    /// What the group lacks. `abandon` must follow.
    pub(crate) fn advance(
        &mut self,
        draft: &mut GroupDraft,
        preparing: &mut Preparing,
        until: Instant,
    ) -> Result<Option<GroupRuntime>, StartError> {
        loop {
            let next = match preparing.stage {
                Stage::Names => preparing.learn_names(draft, until)?,
                Stage::Program => self.hear_program(draft, preparing, until)?,
                Stage::Paths => preparing.examine_paths(draft, until)?,
                Stage::Sockets => {
                    let is_foreign = foreign(self.trust_of_socket, &preparing.trusts);
                    let user = |pool: &str| preparing.trusts.get(pool).map(Trust::fingerprint);
                    let claim = Claim { owner: self.owner, leaves: self.leaves, is_foreign: &is_foreign, user: &user };
                    preparing.openings.advance(self.sockets, claim, until)?.then_some(Stage::AccessLogs(0))
                }
                Stage::AccessLogs(at) if at >= draft.pools.len() => return self.finish(draft, preparing).map(Some),
                Stage::AccessLogs(at) => preparing.open_logs(draft, at, until).then_some(Stage::AccessLogs(at + 1)),
            };
            match next {
                Some(next) => preparing.stage = next,
                None => return Ok(None),
            }
        }
    }

    fn hear_program(
        &mut self,
        draft: &GroupDraft,
        preparing: &mut Preparing,
        until: Instant,
    ) -> Result<Option<Stage>, StartError> {
        if let Some(pool) = draft.pools.first() {
            let Poll::Ready(program) = self.programs.poll_of_pool(pool, until)? else { return Ok(None) };
            preparing.program = program;
        }
        Ok(Some(Stage::Paths))
    }

    fn finish(&mut self, draft: &GroupDraft, preparing: &mut Preparing) -> Result<GroupRuntime, StartError> {
        let (mut pools, mut specs) = (Vec::new(), Vec::new());
        let is_foreign = foreign(self.trust_of_socket, &preparing.trusts);
        let user = |pool: &str| preparing.trusts.get(pool).map(Trust::fingerprint);
        let claim = Claim { owner: self.owner, leaves: self.leaves, is_foreign: &is_foreign, user: &user };
        let users = std::mem::take(&mut preparing.users);
        for ((config, user), root) in draft.pools.iter().zip(users).zip(&preparing.paths.roots) {
            let listen_fds = self.sockets.open(claim, config, &mut preparing.openings)?;
            let (spec, pool) = self.prepare_pool((config, listen_fds), user, *root, draft.identity.is_some())?;
            specs.push(spec);
            pools.push(pool);
        }
        let program = preparing.program.take();
        let spec = ZygoteSpec {
            group: draft.name.clone(),
            generation: 0,
            identity: draft.identity.clone(),
            engine: draft.pools.first().map_or_else(|| self.engine.clone(), |pool| self.engine.of_pool(&pool.engine)),
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
        group.open_access_logs(&mut preparing.opened)?;
        Ok(group)
    }

    fn prepare_pool(
        &mut self,
        (config, listen_fds): (&PoolConfig, Vec<RawFd>),
        user: PoolUser,
        root: Option<DirectoryId>,
        zygote_is_user: bool,
    ) -> Result<(PoolSpec, PoolRuntime), StartError> {
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

/// Whether a socket of another generation is of another user than a pool.
fn foreign<'a>(
    trust_of_socket: &'a dyn Fn(GenerationId, RawFd) -> Option<Trust>,
    trusts: &'a BTreeMap<String, Trust>,
) -> impl Fn(&str, GenerationId, RawFd) -> bool + use<'a> {
    move |pool, id, raw| trust_of_socket(id, raw).is_some_and(|other| trusts.get(pool) != Some(&other))
}

impl Preparing {
    /// It has failed, or is not wanted any more: nothing is left of it but counters that no pool uses.
    pub(crate) fn abandon(self, owner: GenerationId, sockets: &mut Sockets) {
        sockets.abandon(self.openings);
        sockets.withdraw(owner);
    }

    fn learn_names(&mut self, draft: &mut GroupDraft, until: Instant) -> Result<Option<Stage>, StartError> {
        if self.lookup.as_mut().is_some_and(|lookup| !lookup.is_over(until)) {
            return Ok(None);
        }
        if let Some(lookup) = self.lookup.take() {
            let Names { users, sockets } = lookup.finish(&draft.pools)?;
            draft.learn_users(&users);
            self.paths = PoolPaths::of(&draft.pools, &users);
            self.openings = Openings::of(&draft.pools, sockets)?;
            self.users = users;
        }
        Ok(Some(Stage::Program))
    }

    fn examine_paths(&mut self, draft: &GroupDraft, until: Instant) -> Result<Option<Stage>, StartError> {
        if !self.paths.advance(until)? {
            return Ok(None);
        }
        let pools = draft.pools.iter().zip(&self.users).zip(&self.paths.roots);
        let trust = |((pool, user), root): ((&PoolConfig, &PoolUser), &_)| {
            (pool.name.clone(), Trust::of(pool, user.identity.as_ref(), *root))
        };
        self.trusts = pools.map(trust).collect();
        Ok(Some(Stage::Sockets))
    }

    /// Whether the access log of that pool is open by then, or cannot be opened. Those of the next pools are begun.
    fn open_logs(&mut self, draft: &GroupDraft, at: usize, until: Instant) -> bool {
        let pools = draft.pools.iter().skip(at).take(AT_ONCE);
        let ahead: Vec<_> = pools.filter_map(|pool| Some((pool, self.trusts.get(&pool.name)?))).collect();
        ahead.iter().for_each(|(pool, trust)| self.opened.begin(pool, trust));
        ahead.first().is_none_or(|(pool, trust)| self.opened.is_begun(pool, trust, until))
    }
}
