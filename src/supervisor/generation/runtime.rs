//! The resources of the processes of one generation: drain signals, scoreboards, access logs, zygotes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::configured::loaded_files::MarkedFile;
use crate::ipc::{OrderSender, PoolSpec, ReportReceiver, ToSupervisor, Trust, ZygoteSpec};
use crate::plan::base::BaseId;
use crate::plan::budget::{Allowance, Bucket};
use crate::plan::fleet::{GenerationId, ZygoteKey};
use crate::scoreboard::{self, Scoreboard};
use crate::supervisor::generation::drain::Drain;
use crate::supervisor::log_files::FIRST_FD;
use crate::sys::{clock, fd};

/// Bytes of log lines that the processes of a group may cause in a second.
const LINES: u64 = 128 * 1024;

/// One generation's resources.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// Its group; a generation of a former version has several.
    pub groups: Vec<GroupRuntime>,
}

/// One group's resources.
#[derive(Debug)]
pub(crate) struct GroupRuntime {
    /// The specifications of its zygotes. Descriptor numbers are those of this process.
    pub spec: ZygoteSpec,
    /// The drain signal of the latest zygote's workers.
    pub drain: Drain,
    /// The running zygote.
    pub zygote: Option<ZygoteProcess>,
    /// In the order of the specification's pools.
    pub pools: Vec<PoolRuntime>,
    /// Log lines that its processes may cause.
    pub lines: Allowance,
    /// The base zygote that its zygotes are forked from; `None`: they start PHP themselves.
    pub base: Option<BaseId>,
    /// The files that the PHP of its latest zygote was started with. Groups with the same files share the list.
    pub files: Rc<Vec<MarkedFile>>,
    /// What its latest zygote has said about its PHP.
    pub about: AboutPhp,
}

/// What a zygote has said about its PHP. It is only shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AboutPhp {
    /// Its version.
    pub php: String,
    /// php.ini; `None`: it has read none, or it is not known yet.
    pub php_ini: Option<String>,
}

/// One pool's resources.
#[derive(Debug)]
pub(crate) struct PoolRuntime {
    /// The memory of the scoreboard.
    pub scoreboard_fd: OwnedFd,
    /// The same, mapped.
    pub scoreboard: Scoreboard,
    /// Its access log, if it has one.
    pub access_log: Option<OwnedFd>,
}

/// A zygote.
#[derive(Debug)]
pub(crate) struct ZygoteProcess {
    /// Its pid; it is our child.
    pub pid: Pid,
    /// It has broken the protocol and is about to end: its messages are ignored.
    pub untrusted: bool,
    /// Sends it orders.
    pub orders: OrderSender,
    /// Receives its reports.
    pub reports: ReportReceiver<ToSupervisor>,
    /// How many messages it may send.
    pub budget: Bucket,
    /// Its protocol version, once it has said `Hello`.
    pub protocol: Option<u32>,
    /// It was forked from a base zygote and is not ready yet: the kernel has not confirmed that it has become its user.
    pub unproved: bool,
    /// The supervisor has given up working with it and has sent SIGKILL.
    pub killed: bool,
}

impl PoolRuntime {
    /// Maps the scoreboard in that memory, which has so many slots.
    ///
    /// # Errors
    /// `ENOMEM`; a descriptor that is no scoreboard of that size.
    pub(crate) fn new(scoreboard_fd: OwnedFd, slots: u32, access_log: Option<OwnedFd>) -> io::Result<Self> {
        let scoreboard = Scoreboard::map(scoreboard_fd.as_fd(), slots)?;
        Ok(Self { scoreboard_fd, scoreboard, access_log })
    }
}

impl GroupRuntime {
    /// A group without a zygote.
    #[must_use]
    pub(crate) fn new(spec: ZygoteSpec, drain: Drain, pools: Vec<PoolRuntime>) -> Self {
        Self {
            spec,
            drain,
            zygote: None,
            pools,
            lines: Allowance::new(LINES),
            files: Rc::default(),
            about: AboutPhp::default(),
            base: None,
        }
    }

    /// The same for other processes: with scoreboards of its own, and without a zygote.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub(crate) fn renewed(&self) -> io::Result<Self> {
        let (mut spec, mut pools) = (self.spec.clone(), Vec::new());
        for (spec, pool) in spec.pools.iter_mut().zip(&self.pools) {
            let scoreboard = scoreboard::create(spec.slots)?;
            spec.scoreboard_fd = scoreboard.as_raw_fd();
            let access_log = pool.access_log.as_ref().map(|log| fd::dup_from(log, FIRST_FD)).transpose()?;
            spec.access_log_fd = access_log.as_ref().map(AsRawFd::as_raw_fd);
            pools.push(PoolRuntime::new(scoreboard, spec.slots, access_log)?);
        }
        let base = self.base;
        Ok(Self { base, ..Self::new(spec, Drain::Closed, pools) })
    }

    /// Its pools: specification and resources.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (&PoolSpec, &PoolRuntime)> {
        self.spec.pools.iter().zip(&self.pools)
    }

    /// Its zygote has named files that its PHP was started with, the first or further ones. There is a limit to their number.
    pub(crate) fn started_with(&mut self, first: bool, php_ini: Option<String>, files: Vec<MarkedFile>) {
        const MOST: usize = 4096;
        if first {
            self.files = Rc::default();
            self.about.php_ini = php_ini;
        }
        let room = MOST.saturating_sub(self.files.len());
        Rc::make_mut(&mut self.files).extend(files.into_iter().take(room));
    }

    /// Slots for workers in all its pools.
    #[must_use]
    pub(crate) fn slots(&self) -> usize {
        self.spec.pools.iter().map(|pool| usize::try_from(pool.slots).unwrap_or(0)).sum()
    }

    /// It has that zygote from now on.
    pub(crate) fn set_zygote(
        &mut self,
        pid: Pid,
        orders: OrderSender,
        reports: ReportReceiver<ToSupervisor>,
        protocol: Option<u32>,
    ) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let budget = Bucket::of_zygote(clock::now(), count(self.spec.pools.len()), count(self.slots()));
        let (untrusted, unproved, killed) = (false, false, false);
        self.zygote = Some(ZygoteProcess { pid, untrusted, orders, reports, budget, protocol, unproved, killed });
    }
}

impl Runtime {
    /// Its groups with their keys, if it is that of this generation.
    pub(super) fn keyed(&self, generation: GenerationId) -> impl Iterator<Item = (ZygoteKey, &GroupRuntime)> {
        self.groups.iter().enumerate().map(move |(group, runtime)| (ZygoteKey { generation, group }, runtime))
    }

    /// Whose the pool is that listens on that socket.
    pub(crate) fn trust_of_socket(&self, raw: RawFd) -> Option<Trust> {
        let of_group = |g: &GroupRuntime| {
            let pool = g.spec.pools.iter().find(|pool| pool.listen_fds.contains(&raw))?;
            Some(g.spec.trust(pool))
        };
        self.groups.iter().find_map(of_group)
    }

    /// The names of its groups, in their order.
    pub(crate) fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.spec.group.as_str())
    }
}
