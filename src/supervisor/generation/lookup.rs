//! Looks up names of a group. A name service that does not answer delays only that group: a child waits for it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::config::{LoadOptions, PoolConfig};
use crate::configured::Child;
use crate::supervisor::generation::error::StartError;
use crate::supervisor::generation::names::{KnownUsers, Names, PoolUser, Unknown, look_up};
use crate::supervisor::sockets::name_hosts;
use crate::sys::{helper, shared, title};

/// How long name services may take for a group.
const LIMIT: Duration = Duration::from_secs(10);

/// Names that are being looked up.
#[derive(Debug)]
pub(super) enum Lookup {
    /// They are known.
    Over(Result<Names, Unknown>),
    /// A child looks them up.
    Asked(Child),
}

/// The pools, their users if those are known, and `root` and `allow_root` of `LoadOptions`.
type Question<'a> = (&'a [PoolConfig], Option<Vec<PoolUser>>, bool, bool);

impl Lookup {
    /// Begins. The users of a group are known at its first start already. The service that knew them has just answered, and knows the
    /// owners of sockets as well; the check of a reload has asked it for these before.
    ///
    /// # Errors
    /// `EAGAIN`, `EMFILE`, `ENOMEM`: there is no child for it.
    pub(super) fn begin(users: Option<KnownUsers>, pools: &[PoolConfig], load: &LoadOptions) -> io::Result<Self> {
        Ok(match users {
            Some(Err(unknown)) => Self::Over(Err(unknown)),
            Some(Ok(users)) if !name_hosts(pools) => Self::Over(look_up(pools, Some(users), load)),
            users => Self::Asked(ask(&(pools, users.and_then(Result::ok), load.root, load.allow_root))?),
        })
    }

    /// Whether they are known by then, or will not be.
    pub(super) fn is_over(&mut self, until: Instant) -> bool {
        match self {
            Self::Over(_) => true,
            Self::Asked(child) => child.is_over(until),
        }
    }

    /// Waits for the names of a group.
    ///
    /// # Errors
    /// One is unknown; a name service has not answered in time.
    pub(super) fn finish(self, pools: &[PoolConfig]) -> Result<Names, StartError> {
        let late = || {
            let pool = pools.first().map(|pool| pool.name.clone()).unwrap_or_default();
            StartError::NoAnswer { pool, limit: LIMIT }
        };
        match self {
            Self::Over(names) => Ok(names?),
            Self::Asked(child) => {
                let said = child.wait().ok_or_else(late)?;
                Ok(serde_json::from_slice::<Result<Names, Unknown>>(&said).map_err(|_| late())??)
            }
        }
    }
}

/// Asks a child. It has no other descriptors of this process, since their last close gives signals to workers.
fn ask(question: &Question<'_>) -> io::Result<Child> {
    let question = shared::file_of("cgi-fpm-names", &serde_json::to_vec(question)?)?;
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC)?;
    let pid = helper::start([question.as_fd(), writing.as_fd()], (), answer)?;
    Ok(Child::running(LIMIT, pid, reading))
}

/// The child.
fn answer([question, out]: [OwnedFd; 2], (): ()) {
    title::set("php-fpm: looks up names");
    let question = shared::content_of(question).unwrap_or_default();
    let Ok((pools, users, root, allow_root)) = serde_json::from_slice::<(Vec<PoolConfig>, _, _, _)>(&question) else {
        return;
    };
    let load = LoadOptions { root, allow_root, ..LoadOptions::default() };
    let _ = File::from(out).write_all(&serde_json::to_vec(&look_up(&pools, users, &load)).unwrap_or_default());
}
