//! The pools' access logs: opened here, where it is allowed; zygotes and workers get descriptors.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use crate::config::PoolConfig;
use crate::ipc::{ToZygote, Trust};
use crate::log::messages::pools;
use crate::log::{self, Message};
use crate::plan::fleet::ZygoteKey;
use crate::scoreboard::Counter;
use crate::supervisor::Supervisor;
use crate::supervisor::generation::StartError;
use crate::supervisor::generation::runtime::{self, GroupRuntime, Runtime, Runtimes};
use crate::sys::failure::reason;
use crate::sys::fd;
use crate::sys::log_file::{self, Opening, Owner};

/// Files that were opened in one go: pools of one user that name the same one share its description, on which each could change
/// how the others write.
#[derive(Debug, Default)]
pub(super) struct Opened {
    streams: HashMap<PathBuf, OwnedFd>,
    files: Vec<(PathBuf, Trust, OwnedFd)>,
    /// Those that have been begun with.
    begun: Vec<(PathBuf, Trust, Opening)>,
}

impl Opened {
    /// Own descriptors that generations log to: behind a start into the background they can't be had again.
    pub(super) fn streams(runtimes: &Runtimes) -> Self {
        let mut opened = Self::default();
        for (pool, fd) in runtimes.values().flat_map(Runtime::access_logs) {
            if let Some(path) = pool.access_log.as_ref().filter(|path| fd::standard_stream(path).is_some())
                && let Ok(copy) = fd::dup_from(fd, FIRST)
            {
                opened.streams.insert(path.clone(), copy);
            }
        }
        opened
    }

    /// Begins to open a pool's log: several can be waited for at once.
    pub(super) fn begin(&mut self, pool: &PoolConfig, trust: &Trust) {
        let Some(path) = pool.access_log.as_ref().filter(|path| fd::standard_stream(path).is_none()) else { return };
        let is_that = |known: &Path, whose: &Trust| known == path && whose == trust;
        let known = self.files.iter().any(|(known, whose, _)| is_that(known, whose));
        if !known && !self.begun.iter().any(|(known, whose, _)| is_that(known, whose)) {
            self.begun.push((path.clone(), trust.clone(), log_file::start(path, trust.owner_of_logs())));
        }
    }

    /// A pool's log, if it has one.
    ///
    /// # Errors
    /// One cannot be opened.
    pub(super) fn open(&mut self, pool: &PoolConfig, trust: &Trust) -> Result<Option<OwnedFd>, StartError> {
        let Some(path) = &pool.access_log else { return Ok(None) };
        let failed = |source| StartError::AccessLog { path: path.clone(), source };
        let known = self.files.iter().find(|(known, whose, _)| known == path && whose == trust);
        if let Some(file) = self.streams.get(path).or(known.map(|(_, _, file)| file)) {
            return fd::dup_from(file, FIRST).map(Some).map_err(failed);
        }
        let begun = self.begun.iter().position(|(known, whose, _)| known == path && whose == trust);
        let opening = match begun {
            Some(at) => self.begun.swap_remove(at).2,
            None => begin(path, trust.owner_of_logs()),
        };
        let file = opening.wait().map_err(failed)?.file;
        let copy = fd::dup_from(&file, FIRST).map_err(failed)?;
        self.files.push((path.clone(), trust.clone(), file));
        Ok(Some(copy))
    }
}

/// Not one of the standard streams.
const FIRST: RawFd = 3;
/// So many places are asked at the same time.
const AT_ONCE: usize = 64;

/// Begins to open a log of a pool's, or takes the standard stream that it is.
pub(super) fn begin(path: &Path, owner: Owner) -> Opening {
    match fd::standard_stream(path) {
        Some(1) => Opening::given(fd::dup_from(io::stdout(), FIRST)),
        Some(_) => Opening::given(fd::dup_from(io::stderr(), FIRST)),
        None => log_file::start(path, owner),
    }
}

impl Supervisor {
    /// SIGUSR1. Workers get their files before they are told that there are some, so that they can wait for them; what
    /// they write behind the line in the log is in the new files.
    pub(super) fn reopen_access_logs(&mut self, wrong: &mut Vec<String>) {
        let pools = self.logging_pools();
        if pools.is_empty() {
            return;
        }
        self.reopened += 1;
        let mut opened = Opened::streams(&self.runtimes);
        let mut changed = Vec::new();
        for some in pools.chunks(AT_ONCE) {
            some.iter().for_each(|(_, _, config, trust)| opened.begin(config, trust));
            for (key, pool, config, trust) in some {
                let file = opened.open(config, trust).map_err(|e| e.message());
                match file.and_then(|file| self.change_access_log(*key, *pool, file)) {
                    Ok(()) => changed.push(key.of_pool(*pool)),
                    Err(message) => {
                        log::say(&message);
                        wrong.push(message.text().to_owned());
                    }
                }
            }
        }
        for totals in changed.iter().filter_map(|key| self.totals_of(*key)) {
            totals.set(Counter::Reopened, self.reopened);
        }
        if changed.len() == pools.len() {
            log::say(&pools::access_log_reopened());
        } else {
            log::say(&pools::access_log_not_reopened());
        }
    }

    /// Those of all generations that have an access log.
    fn logging_pools(&self) -> Vec<(ZygoteKey, usize, PoolConfig, Trust)> {
        let mut found = Vec::new();
        for key in self.zygote_keys() {
            let group = runtime::group(&self.runtimes, key);
            let pools = group.into_iter().flat_map(|g| g.spec.pools.iter().enumerate().map(move |p| (&g.spec, p)));
            let logging = pools.filter(|(_, (_, pool))| pool.access_log_fd.is_some());
            found.extend(logging.map(|(spec, (index, pool))| (key, index, pool.config.clone(), spec.trust(pool))));
        }
        found
    }

    fn change_access_log(&mut self, key: ZygoteKey, pool: usize, file: Option<OwnedFd>) -> Result<(), Message> {
        let group = runtime::group_mut(&mut self.runtimes, key);
        let (Some(group), Some(file)) = (group, file) else { return Ok(()) };
        let copy = file.try_clone().map_err(|e| pools::access_log_not_passed_on(reason(&e)))?;
        group.put_access_log(pool, file);
        self.send(key, &ToZygote::AccessLog { pool, reopened: self.reopened }, vec![copy]);
        Ok(())
    }
}

impl Runtime {
    /// Opens the access logs of a new generation.
    ///
    /// # Errors
    /// One cannot be opened.
    pub(super) fn open_access_logs(&mut self, opened: &mut Opened) -> Result<(), StartError> {
        for group in &mut self.groups {
            for pool in 0..group.spec.pools.len() {
                let spec = group.spec.pools.get(pool);
                let config = spec.map(|pool| opened.open(&pool.config, &group.spec.trust(pool)));
                if let Some(file) = config.transpose()?.flatten() {
                    group.put_access_log(pool, file);
                }
            }
        }
        Ok(())
    }

    /// Pools that have an access log, and where that goes.
    fn access_logs(&self) -> impl Iterator<Item = (&PoolConfig, impl AsFd)> {
        self.groups.iter().flat_map(|group| {
            let pools = group.spec.pools.iter().zip(&group.access_logs);
            pools.filter_map(|(pool, file)| Some((&pool.config, file.as_ref()?)))
        })
    }
}

impl GroupRuntime {
    fn put_access_log(&mut self, pool: usize, file: OwnedFd) {
        if let (Some(spec), Some(place)) = (self.spec.pools.get_mut(pool), self.access_logs.get_mut(pool)) {
            spec.access_log_fd = Some(file.as_raw_fd());
            *place = Some(file);
        }
    }
}
