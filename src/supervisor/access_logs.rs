//! The pools' access logs: opened here, where it is allowed; zygotes and workers get descriptors.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use super::Supervisor;
use super::runtime::{self, GroupRuntime, Runtime, Runtimes};
use crate::config::Pool;
use crate::ipc::ToZygote;
use crate::log;
use crate::plan::fleet::ZygoteKey;
use crate::scoreboard::Counter;
use crate::sys::failure::reason;
use crate::sys::fd;
use crate::sys::log_file::{self, Opening, Owner};

/// Files that were opened in one go: who names the same one shares its description.
#[derive(Debug, Default)]
pub(super) struct Opened {
    files: HashMap<PathBuf, OwnedFd>,
    /// Those that have been begun with.
    begun: HashMap<PathBuf, Opening>,
}

impl Opened {
    /// Own descriptors that generations log to: behind a start into the background they can't be had again.
    pub(super) fn streams(runtimes: &Runtimes) -> Self {
        let mut opened = Self::default();
        for (pool, fd) in runtimes.values().flat_map(Runtime::access_logs) {
            if let Some(path) = pool.access_log.as_ref().filter(|path| fd::standard_stream(path).is_some())
                && let Ok(copy) = fd::dup_from(fd, FIRST)
            {
                opened.files.insert(path.clone(), copy);
            }
        }
        opened
    }

    /// Begins to open a pool's log: several can be waited for at once.
    pub(super) fn begin(&mut self, pool: &Pool, owner: Owner) {
        if let Some(path) = pool.access_log.as_ref().filter(|path| fd::standard_stream(path).is_none())
            && !self.files.contains_key(path)
        {
            self.begun.entry(path.clone()).or_insert_with(|| log_file::start(path, owner));
        }
    }

    /// A pool's log, if it has one.
    ///
    /// # Errors
    /// A line for the log.
    pub(super) fn open(&mut self, pool: &Pool, owner: Owner) -> Result<Option<OwnedFd>, String> {
        let Some(path) = &pool.access_log else { return Ok(None) };
        let failed = |e: io::Error| format!("failed to open access log ({}): {}", path.display(), reason(&e));
        if !self.files.contains_key(path) {
            let opening = self.begun.remove(path).unwrap_or_else(|| begin(path, owner));
            self.files.insert(path.clone(), opening.wait().map_err(failed)?.file);
        }
        let file = self.files.get(path).map(|file| fd::dup_from(file, FIRST));
        file.transpose().map_err(failed)
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
            some.iter().for_each(|(_, _, config, owner)| opened.begin(config, *owner));
            for (key, pool, config, owner) in some {
                match opened.open(config, *owner).and_then(|file| self.change_access_log(*key, *pool, file)) {
                    Ok(()) => changed.push(&config.name),
                    Err(line) => {
                        log::error(&line);
                        wrong.push(line);
                    }
                }
            }
        }
        for totals in changed.iter().filter_map(|name| self.totals.get(name)) {
            totals.set(Counter::Reopened, self.reopened);
        }
        if changed.len() == pools.len() {
            log::notice("access log file re-opened");
        } else {
            log::error("unable to re-opened access log file");
        }
    }

    /// Those of all generations that have an access log.
    fn logging_pools(&self) -> Vec<(ZygoteKey, usize, Pool, Owner)> {
        let mut found = Vec::new();
        for key in self.zygote_keys() {
            let group = runtime::group(&self.runtimes, key);
            let pools = group.into_iter().flat_map(|g| g.spec.pools.iter().enumerate().map(move |(i, p)| (g, i, p)));
            let logging = pools.filter(|(_, _, pool)| pool.access_log_fd.is_some());
            found.extend(logging.map(|(g, index, pool)| (key, index, pool.config.clone(), g.owner_of_logs(index))));
        }
        found
    }

    fn change_access_log(&mut self, key: ZygoteKey, pool: usize, file: Option<OwnedFd>) -> Result<(), String> {
        let group = runtime::group_mut(&mut self.runtimes, key);
        let (Some(group), Some(file)) = (group, file) else { return Ok(()) };
        let copy = file.try_clone().map_err(|e| format!("unable to pass an access log on: {e}"))?;
        group.put_access_log(pool, file);
        self.send(key, &ToZygote::AccessLog { pool, reopened: self.reopened }, vec![copy]);
        Ok(())
    }
}

impl Runtime {
    /// Opens the access logs of a new generation.
    ///
    /// # Errors
    /// A line for the log.
    pub(super) fn open_access_logs(&mut self, opened: &mut Opened) -> Result<(), String> {
        for group in &mut self.groups {
            for pool in 0..group.spec.pools.len() {
                let owner = group.owner_of_logs(pool);
                let config = group.spec.pools.get(pool).map(|spec| opened.open(&spec.config, owner));
                if let Some(file) = config.transpose()?.flatten() {
                    group.put_access_log(pool, file);
                }
            }
        }
        Ok(())
    }

    /// Pools that have an access log, and where that goes.
    fn access_logs(&self) -> impl Iterator<Item = (&Pool, impl AsFd)> {
        self.groups.iter().flat_map(|group| {
            let pools = group.spec.pools.iter().zip(&group.access_logs);
            pools.filter_map(|(pool, file)| Some((&pool.config, file.as_ref()?)))
        })
    }
}

impl GroupRuntime {
    /// Whose a pool's logs are.
    pub(super) fn owner_of_logs(&self, pool: usize) -> Owner {
        let own = self.spec.pools.get(pool).and_then(|pool| pool.identity.as_ref());
        Owner::Pool(own.or(self.spec.identity.as_ref()).map(|identity| identity.uid))
    }

    fn put_access_log(&mut self, pool: usize, file: OwnedFd) {
        if let (Some(spec), Some(place)) = (self.spec.pools.get_mut(pool), self.access_logs.get_mut(pool)) {
            spec.access_log_fd = Some(file.as_raw_fd());
            *place = Some(file);
        }
    }
}
