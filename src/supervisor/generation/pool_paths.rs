//! The directories and slow logs that the pools of a group name: whether they can be used. A directory of a user may hang, so each is
//! examined in a child where that is needed, and no wait is necessary.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::PoolConfig;
use crate::log::{
    self,
    messages::{config_pools::PoolError, sockets},
};
use crate::supervisor::generation::error::StartError;
use crate::supervisor::generation::names::PoolUser;
use crate::supervisor::log_files;
use crate::sys::failure::reason;
use crate::sys::log_file::{Opening, Owner};
use crate::sys::named_file::{DirectoryId, Look};

/// Most paths of a group that are examined at the same time.
const AT_ONCE: usize = 8;

/// The paths of a group, in php-fpm's order.
#[derive(Debug, Default)]
pub(super) struct PoolPaths {
    waiting: VecDeque<(usize, PoolPath)>,
    begun: VecDeque<(usize, PoolPath, Examination)>,
    /// The root directory of each pool that has a `chroot`.
    pub(super) roots: Vec<Option<DirectoryId>>,
}

/// A path, and what is demanded of it.
#[derive(Debug)]
enum PoolPath {
    /// It must be a directory.
    Directory { directive: &'static str, path: PathBuf, missing: PoolError },
    /// It must be possible to append to the file. It is created if it does not exist, as php-fpm does.
    SlowLog { path: PathBuf, owner: Owner, pool: String },
}

/// One that goes on.
#[derive(Debug)]
enum Examination {
    Directory(Look),
    SlowLog(Opening),
}

impl PoolPaths {
    /// Nothing is begun yet.
    #[must_use]
    pub(super) fn of(pools: &[PoolConfig], users: &[PoolUser]) -> Self {
        let of_pool = |(at, (pool, user))| paths_of(pool, user).map(move |path| (at, path));
        let waiting = pools.iter().zip(users).enumerate().flat_map(of_pool).collect();
        Self { waiting, begun: VecDeque::new(), roots: vec![None; pools.len()] }
    }

    /// Goes on until then. Whether all are examined.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub(super) fn advance(&mut self, until: Instant) -> Result<bool, StartError> {
        loop {
            while self.begun.len() < AT_ONCE
                && let Some((pool, path)) = self.waiting.pop_front()
            {
                let begun = path.begin();
                self.begun.push_back((pool, path, begun));
            }
            match self.begun.front_mut() {
                None => return Ok(true),
                Some((.., begun)) => {
                    if !begun.is_over(until) {
                        return Ok(false);
                    }
                }
            }
            if let Some((pool, path, begun)) = self.begun.pop_front() {
                let root = path.finish(begun)?;
                self.roots.get_mut(pool).into_iter().for_each(|known| *known = known.or(root));
            }
        }
    }
}

fn paths_of(pool: &PoolConfig, user: &PoolUser) -> impl Iterator<Item = PoolPath> {
    let name = || pool.name.clone();
    let directory = |directive, path: &Path, missing| {
        let path = path.to_owned();
        PoolPath::Directory { directive, path, missing }
    };
    let prefix = pool
        .prefix
        .as_deref()
        .map(|path| directory("prefix", path, PoolError::Prefix { pool: name(), path: shown(path) }));
    let slow_log = pool.slowlog.as_ref().filter(|_| !pool.request_slowlog_timeout.is_zero()).map(|path| {
        let owner = Owner::Pool(user.identity.as_ref().map(|identity| identity.uid));
        PoolPath::SlowLog { path: path.clone(), owner, pool: name() }
    });
    let chroot = pool
        .chroot
        .as_deref()
        .map(|path| directory(CHROOT, path, PoolError::ChrootMissing { pool: name(), path: shown(path) }));
    let chdir = pool.chdir.as_deref().map(|path| match &pool.chroot {
        None => directory("chdir", path, PoolError::ChdirMissing { pool: name(), path: shown(path) }),
        Some(chroot) => {
            let (chroot, path) = (shown(chroot), shown(path));
            let inside = format!("{chroot}/{path}");
            let whole = PathBuf::from(&inside);
            directory("chdir", &whole, PoolError::ChdirOutsideChroot { pool: name(), path, chroot, inside })
        }
    });
    [prefix, slow_log, chroot, chdir].into_iter().flatten()
}

const CHROOT: &str = "chroot";

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl PoolPath {
    fn begin(&self) -> Examination {
        match self {
            Self::Directory { path, .. } => Examination::Directory(Look::begin(path)),
            Self::SlowLog { path, owner, .. } => Examination::SlowLog(log_files::begin(path, *owner)),
        }
    }

    /// The identity of a root directory, if it is one.
    fn finish(self, begun: Examination) -> Result<Option<DirectoryId>, StartError> {
        match (self, begun) {
            (Self::Directory { directive, path, missing }, Examination::Directory(look)) => {
                let found = look.wait().map_err(|e| refusal(directive, &path, missing, &e))?;
                Ok(found.filter(|_| directive == CHROOT))
            }
            (Self::SlowLog { path, pool, .. }, Examination::SlowLog(opening)) => {
                let path = shown(&path);
                let failed = |e| PoolError::SlowlogNotOpened { path: path.clone(), reason: reason(&e) };
                for remark in opening.wait().map_err(failed)?.remarks {
                    log::say(&sockets::path_of_a_users(&pool, remark));
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

fn refusal(directive: &str, path: &Path, missing: PoolError, e: &io::Error) -> StartError {
    match e.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => missing.into(),
        _ => StartError::Directory { directive: directive.to_owned(), path: path.to_owned(), reason: reason(e) },
    }
}

impl Examination {
    fn is_over(&mut self, until: Instant) -> bool {
        match self {
            Self::Directory(look) => look.is_over(until),
            Self::SlowLog(opening) => opening.is_over(Some(until)),
        }
    }
}
