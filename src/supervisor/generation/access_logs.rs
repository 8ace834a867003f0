//! The pools' access logs. The supervisor opens them; zygotes and workers get descriptors.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::PoolConfig;
use crate::ipc::Trust;
use crate::log::{
    self, Message,
    messages::{config, sockets},
};
use crate::supervisor::generation::error::StartError;
use crate::supervisor::generation::runtime::{GroupRuntime, Runtime};
use crate::supervisor::generation::runtimes::Runtimes;
use crate::supervisor::log_files::{self, FIRST_FD};
use crate::sys::fd;
use crate::sys::log_file::{self, Opening};

/// Files that are opened together. Pools share the open file description of a log only if they trust each other (same user):
/// each of them could change its flags for all.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    streams: HashMap<PathBuf, OwnedFd>,
    files: Vec<Entry<OwnedFd>>,
    /// Files whose opening has begun.
    begun: Vec<Entry<Opening>>,
    /// Remarks about paths that users can replace.
    remarks: Vec<Message>,
}

#[derive(Debug)]
struct Entry<T> {
    path: PathBuf,
    trust: Trust,
    file: T,
}

impl<T> Entry<T> {
    fn is(&self, path: &Path, trust: &Trust) -> bool {
        self.path == path && self.trust == *trust
    }
}

impl Opened {
    /// Standard streams that present generations log to: after a start into the background they can't be opened again.
    #[must_use]
    pub(crate) fn streams(runtimes: &Runtimes) -> Self {
        let mut opened = Self::default();
        for (pool, fd) in runtimes.iter().flat_map(|(_, runtime)| runtime.access_logs()) {
            if let Some(path) = pool.access_log.as_ref().filter(|path| fd::standard_stream(path).is_some())
                && let Ok(copy) = fd::dup_from(fd, FIRST_FD)
            {
                opened.streams.insert(path.clone(), copy);
            }
        }
        opened
    }

    /// Begins to open a pool's log: several can be waited for at once.
    pub(crate) fn begin(&mut self, pool: &PoolConfig, trust: &Trust) {
        let Some(path) = pool.access_log.as_ref().filter(|path| fd::standard_stream(path).is_none()) else { return };
        let known = self.files.iter().any(|entry| entry.is(path, trust));
        if !known && !self.begun.iter().any(|entry| entry.is(path, trust)) {
            let file = log_file::start(path, trust.owner_of_logs());
            self.begun.push(Entry { path: path.clone(), trust: trust.clone(), file });
        }
    }

    /// Whether `open` will not wait for the log of that pool.
    #[must_use]
    pub(crate) fn is_begun(&mut self, pool: &PoolConfig, trust: &Trust, until: Instant) -> bool {
        let path = pool.access_log.as_ref();
        let mut begun = self.begun.iter_mut().filter(|entry| path.is_some_and(|path| entry.is(path, trust)));
        begun.all(|entry| entry.file.is_over(Some(until)))
    }

    /// A pool's log, if it has one.
    ///
    /// # Errors
    /// One cannot be opened.
    pub(crate) fn open(&mut self, pool: &PoolConfig, trust: &Trust) -> Result<Option<OwnedFd>, StartError> {
        let Some(path) = &pool.access_log else { return Ok(None) };
        let failed = |source| StartError::AccessLog { path: path.clone(), source };
        let known = self.files.iter().find(|entry| entry.is(path, trust));
        if let Some(file) = self.streams.get(path).or(known.map(|entry| &entry.file)) {
            return fd::dup_from(file, FIRST_FD).map(Some).map_err(failed);
        }
        let begun = self.begun.iter().position(|entry| entry.is(path, trust));
        let opening = match begun {
            Some(at) => self.begun.swap_remove(at).file,
            None => log_files::begin(path, trust.owner_of_logs()),
        };
        let log_file::Opened { file, remarks } = opening.wait().map_err(failed)?;
        self.remarks.extend(remarks.into_iter().map(|remark| sockets::path_of_a_users(&pool.name, remark)));
        let copy = fd::dup_from(&file, FIRST_FD).map_err(failed)?;
        self.files.push(Entry { path: path.clone(), trust: trust.clone(), file });
        Ok(Some(copy))
    }
}

impl Runtime {
    /// Pools that have an access log, and its descriptor.
    fn access_logs(&self) -> impl Iterator<Item = (&PoolConfig, impl AsFd)> {
        let pools = self.groups.iter().flat_map(GroupRuntime::pools);
        pools.filter_map(|(spec, pool)| Some((&spec.config, pool.access_log.as_ref()?)))
    }
}

impl GroupRuntime {
    /// Opens the access logs of its pools.
    ///
    /// # Errors
    /// One cannot be opened.
    pub(super) fn open_access_logs(&mut self, opened: &mut Opened) -> Result<(), StartError> {
        for pool in 0..self.spec.pools.len() {
            let spec = self.spec.pools.get(pool);
            let file = spec.map(|pool| opened.open(&pool.config, &self.spec.trust(pool)));
            if let Some(file) = file.transpose()?.flatten() {
                self.set_access_log(pool, file);
            }
        }
        opened.remarks.drain(..).for_each(|remark| log::say(&remark));
        let paths = self.spec.pools.iter().filter_map(|pool| pool.config.access_log.as_ref());
        paths.for_each(|path| log::say(&config::access_log_opened(path.display())));
        Ok(())
    }

    /// The access log of that pool, instead of a former one.
    pub(crate) fn set_access_log(&mut self, pool: usize, file: OwnedFd) {
        if let (Some(spec), Some(pool)) = (self.spec.pools.get_mut(pool), self.pools.get_mut(pool)) {
            spec.access_log_fd = Some(file.as_raw_fd());
            pool.access_log = Some(file);
        }
    }
}
