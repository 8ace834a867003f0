//! What the processes of one generation hang on: drain signals, scoreboards, zygotes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::unistd::Pid;

use crate::config::PoolConfig;
use crate::engine::EngineOptions;
use crate::ipc::{OrderSender, PoolSpec, ReportReceiver, ToSupervisor, ZygoteSpec};
use crate::log;
use crate::plan::budget::{Allowance, Bucket, Intake};
use crate::plan::fleet::{GenerationId, GroupPlan, PoolKey, PoolPlan, PoolState, WorkerKey, ZygoteKey};
use crate::plan::groups::Grouping;
use crate::scoreboard::{self, Scoreboard};
use crate::supervisor::generation::drain::Drain;
use crate::supervisor::generation::resolve;
use crate::sys::clock;
use crate::sys::clock::millis;
use crate::sys::ids::Identity;

/// One generation's resources.
#[derive(Debug)]
pub struct Runtime {
    /// By group.
    pub groups: Vec<GroupRuntime>,
}

/// One group's resources.
#[derive(Debug)]
pub struct GroupRuntime {
    /// What its zygotes are started with; descriptor numbers are those of this process.
    pub spec: ZygoteSpec,
    /// How the workers of the latest zygote hear that they drain.
    pub drain: Drain,
    /// The living zygote.
    pub zygote: Option<ZygoteProcess>,
    /// By pool.
    pub boards: Vec<(OwnedFd, Scoreboard)>,
    /// By pool, where they have one; the specification names their numbers.
    pub access_logs: Vec<Option<OwnedFd>>,
    /// Lines of the log that its processes may cause.
    pub lines: Allowance,
    /// What the pipes of its processes bring.
    pub intake: Intake,
}

impl GroupRuntime {
    /// Its pools and their scoreboards.
    pub fn pools(&self) -> impl Iterator<Item = (&PoolSpec, &Scoreboard)> {
        self.spec.pools.iter().zip(self.boards.iter().map(|(_, board)| board))
    }
}
/// Bytes of lines that the processes of a group may cause in a second.
pub const LINES: u64 = 128 * 1024;

/// A zygote.
#[derive(Debug)]
pub struct ZygoteProcess {
    /// Its pid; our child.
    pub pid: Pid,
    /// It has lied, or can't be understood, and is about to end: nothing that it says counts.
    pub distrusted: bool,
    /// What it is told.
    pub orders: OrderSender,
    /// What it says.
    pub reports: ReportReceiver<ToSupervisor>,
    /// How much it may say.
    pub budget: Bucket,
    /// What it speaks, once it has said so.
    pub protocol: Option<u32>,
    /// It was killed.
    pub condemned: bool,
}

impl GroupRuntime {
    /// Places for workers in all its pools.
    #[must_use]
    pub fn places(&self) -> usize {
        self.pools().map(|(pool, _)| usize::try_from(pool.slots).unwrap_or(0)).sum()
    }

    /// It has that zygote now.
    pub fn take_zygote(
        &mut self,
        pid: Pid,
        orders: OrderSender,
        reports: ReportReceiver<ToSupervisor>,
        protocol: Option<u32>,
    ) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let budget = Bucket::of_zygote(clock::now(), count(self.spec.pools.len()), count(self.places()));
        let (distrusted, condemned) = (false, false);
        self.zygote = Some(ZygoteProcess { pid, distrusted, orders, reports, budget, protocol, condemned });
    }
}

/// Runtimes by generation.
pub type Runtimes = BTreeMap<GenerationId, Runtime>;

/// A group, by its zygote.
#[must_use]
pub fn group(runtimes: &Runtimes, key: ZygoteKey) -> Option<&GroupRuntime> {
    runtimes.get(&key.generation)?.groups.get(key.group)
}

/// The same, to change it.
#[must_use]
pub fn group_mut(runtimes: &mut Runtimes, key: ZygoteKey) -> Option<&mut GroupRuntime> {
    runtimes.get_mut(&key.generation)?.groups.get_mut(key.group)
}

/// All zygotes that there are.
pub fn zygotes(runtimes: &mut Runtimes) -> impl Iterator<Item = (ZygoteKey, &mut ZygoteProcess)> {
    runtimes.iter_mut().flat_map(|(&generation, runtime)| {
        let groups = runtime.groups.iter_mut().enumerate();
        groups.filter_map(move |(group, g)| Some((ZygoteKey { generation, group }, g.zygote.as_mut()?)))
    })
}

/// A pool's directives.
#[must_use]
pub fn pool(runtimes: &Runtimes, key: PoolKey) -> Option<&PoolConfig> {
    group(runtimes, key.zygote)?.spec.pools.get(key.pool).map(|pool| &pool.config)
}

/// The scoreboard that a worker has its slot in.
#[must_use]
pub fn board(runtimes: &Runtimes, key: WorkerKey) -> Option<&Scoreboard> {
    group(runtimes, key.zygote())?.boards.get(key.pool).map(|(_, board)| board)
}

/// A pool with what was looked up for it.
#[derive(Debug)]
pub struct ResolvedPool {
    /// Its directives.
    pub config: PoolConfig,
    /// Who its workers are; `None`: what the supervisor is.
    pub identity: Option<Identity>,
    /// `env[]`, `USER`, `HOME`.
    pub environment: Vec<(String, String)>,
    /// Its sockets.
    pub listen_fds: Vec<i32>,
    /// Its counters.
    pub totals_fd: i32,
}

impl Runtime {
    /// Makes scoreboards for these groups.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub fn new(
        pools: &[ResolvedPool],
        groups: &[Grouping],
        engine: &EngineOptions,
        nofile: (u64, u64),
    ) -> io::Result<Self> {
        let build = |group: &Grouping| {
            let mut boards = Vec::new();
            let mut specs = Vec::new();
            for pool in group.pools.iter().filter_map(|&i| pools.get(i)) {
                let slots = PoolState::slots(pool.config.pm_max_children);
                let fd = scoreboard::create(slots)?;
                specs.push(pool_spec(pool, fd.as_raw_fd(), slots, group.identity.is_some()));
                let board = Scoreboard::map(fd.as_fd(), slots)?;
                boards.push((fd, board));
            }
            let spec = ZygoteSpec {
                group: group.name.clone(),
                generation: 0,
                identity: group.identity.clone(),
                engine: engine.clone(),
                control_fd: -1,
                reports_fd: None,
                drain_fd: -1,
                log_level: log::Level::Notice,
                log_format: log::Format::Default,
                pools: specs,
                reopened: 0,
                graceful: false,
                nofile,
            };
            let access_logs = boards.iter().map(|_| None).collect();
            let (drain, lines, intake) = (Drain::Closed, Allowance::new(LINES), Intake::default());
            Ok(GroupRuntime { spec, drain, zygote: None, boards, access_logs, lines, intake })
        };
        let groups = groups.iter().map(build).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { groups })
    }

    /// What the fleet is to know of it; `idle_limit` is that of `[global]`.
    #[must_use]
    pub fn plans(&self, idle_limit: Duration) -> Vec<GroupPlan> {
        let plan = |p: &PoolSpec| PoolPlan {
            name: p.config.name.clone(),
            size: p.size,
            policy: resolve::policy(&p.config),
            limits: resolve::limits(&p.config),
        };
        let plans = self.groups.iter().map(|g| GroupPlan {
            name: g.spec.group.clone(),
            idle_limit: millis(longest(g.spec.pools.iter().map(|p| p.config.group_idle_timeout.unwrap_or(idle_limit)))),
            pools: g.spec.pools.iter().map(plan).collect(),
        });
        plans.collect()
    }

    /// Where that pool of another generation goes on: under its name, as the same user.
    #[must_use]
    pub fn heir_of(&self, spec: &ZygoteSpec, pool: &PoolSpec) -> Option<(usize, usize)> {
        let (group, index) = self.find_pool(&pool.config.name)?;
        let heir = &self.groups.get(group)?.spec;
        (heir.trust(heir.pools.get(index)?) == spec.trust(pool)).then_some((group, index))
    }

    /// Where a pool of that name is: group and index.
    #[must_use]
    fn find_pool(&self, name: &str) -> Option<(usize, usize)> {
        self.groups
            .iter()
            .enumerate()
            .find_map(|(group, g)| g.spec.pools.iter().position(|p| p.config.name == name).map(|pool| (group, pool)))
    }
}

/// Zero, which means no limit, is the longest time.
fn longest(times: impl Iterator<Item = Duration> + Clone) -> Duration {
    if times.clone().any(|t| t.is_zero()) { Duration::ZERO } else { times.max().unwrap_or_default() }
}

fn pool_spec(pool: &ResolvedPool, scoreboard_fd: i32, slots: u32, zygote_is_user: bool) -> PoolSpec {
    PoolSpec {
        config: pool.config.clone(),
        listen_fds: pool.listen_fds.clone(),
        size: pool.config.pm_max_children,
        scoreboard_fd,
        totals_fd: pool.totals_fd,
        slots,
        access_log_fd: None,
        // A zygote that is that user already has workers that are, too.
        identity: pool.identity.clone().filter(|_| !zygote_is_user),
        environment: pool.environment.clone(),
    }
}
