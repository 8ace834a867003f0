//! Work at the paths of sockets that may take long, since they are in directories of users, and that no other work needs: new owners
//! and modes, and removals. The event loop waits for it only briefly, and then looks at it again and again.

use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::log::{self, messages::sockets as messages};
use crate::supervisor::sockets::options::SocketOptions;
use crate::supervisor::sockets::paths;
use crate::supervisor::sockets::waits::Waits;
use crate::sys::failure::reason;
use crate::sys::listen;
use crate::sys::socket_file::{self, Placing, Removal, Search};

/// How long the event loop waits for all of it together, and how long at most in each `PERIOD`.
const BRIEF: Duration = Duration::from_millis(40);
const PERIOD: Duration = Duration::from_secs(1);

/// One socket's.
#[derive(Debug)]
pub(super) enum Background {
    /// The path is looked for, to set owner and mode.
    Access {
        /// The path.
        name: String,
        /// A copy of the socket, which may be closed before.
        socket: OwnedFd,
        /// The owner and so on.
        options: SocketOptions,
        /// The search.
        search: Search,
    },
    /// The file of a new user's socket takes its place.
    Place {
        /// Which.
        placed: Placed,
        /// The change of names.
        placing: Placing,
    },
    /// The file of the former user's socket is removed first. Where everybody can create files, only its owner can replace it.
    Clear {
        /// Which file then takes its place.
        placed: Placed,
        /// The removal.
        removal: Removal,
    },
    /// The path is removed.
    Removal {
        /// The path.
        name: String,
        /// The removal.
        removal: Removal,
    },
}

/// The socket of a new user.
#[derive(Debug)]
pub(super) struct Placed {
    /// The path.
    pub(super) name: String,
    /// The present name of the file.
    pub(super) file: PathBuf,
    /// A copy of the socket.
    pub(super) socket: OwnedFd,
    /// A copy of the former user's.
    pub(super) former: Option<OwnedFd>,
    /// The file of the former one was removed.
    pub(super) cleared: bool,
}

/// What follows a part of the work: the next part; or nothing, with the copies of sockets, which may be the last ones.
pub(super) type Next = ControlFlow<Vec<OwnedFd>, Background>;

/// How long was waited in vain, and since when that is counted.
#[derive(Debug, Default)]
pub(super) struct Waited {
    since: Option<Instant>,
    spent: Duration,
}

impl Background {
    /// Begins to put the file of a new user's socket in its place.
    pub(super) fn place(placed: Placed) -> Self {
        let placing = socket_file::place(&placed.file, Path::new(&placed.name), &placed.socket);
        Self::Place { placed, placing }
    }

    /// How the socket with that inode waits for its place, if this work puts its file there.
    pub(super) fn waits_for(&self, inode: Option<u64>) -> Option<Waits> {
        let (Self::Place { placed, .. } | Self::Clear { placed, .. }) = self else { return None };
        (listen::inode(&placed.socket) == inode).then(|| Waits::As(placed.file.clone()))
    }

    /// Whether this part is over by then.
    pub(super) fn is_over(&mut self, until: Instant) -> bool {
        match self {
            Self::Access { search, .. } => search.is_over(until),
            Self::Place { placing, .. } => placing.is_over(until),
            Self::Clear { removal, .. } | Self::Removal { removal, .. } => removal.is_over(until),
        }
    }

    /// Waits for the end of this part.
    pub(super) fn finish(self) -> Next {
        match self {
            Self::Access { name, socket, options, search } => {
                options.apply(&name, &socket, search).unwrap_or_else(|e| log::say(&e.message()));
                Next::Break(vec![socket])
            }
            Self::Place { placed, placing } => placed.finish(placing),
            Self::Clear { placed, removal } => {
                paths::finish_unlink(&placed.name, removal);
                Next::Continue(Self::place(Placed { cleared: true, ..placed }))
            }
            Self::Removal { name, removal } => {
                paths::finish_unlink(&name, removal);
                Next::Break(Vec::new())
            }
        }
    }

    /// Waits for the end of all parts. Returns the copies of sockets.
    pub(super) fn end(self) -> Vec<OwnedFd> {
        let mut work = self;
        loop {
            match work.finish() {
                Next::Continue(next) => work = next,
                Next::Break(copies) => return copies,
            }
        }
    }
}

impl Placed {
    fn finish(self, placing: Placing) -> Next {
        if let Err(e) = placing.wait() {
            let former = self.former.as_ref().filter(|_| !self.cleared);
            if let Some(removal) = former.and_then(|former| paths::unlink(&self.name, former)) {
                return Next::Continue(Background::Clear { placed: self, removal });
            }
            log::say(&messages::address_not_taken(&self.name, reason(&e)));
        }
        Next::Break(self.former.into_iter().chain([self.socket]).collect())
    }
}

impl Waited {
    /// Adds a wait in vain.
    pub(super) fn add(&mut self, waited: Duration) {
        self.spent += waited;
    }

    /// How long may be waited now.
    pub(super) fn left(&mut self, now: Instant) -> Duration {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= PERIOD) {
            (self.since, self.spent) = (Some(now), Duration::ZERO);
        }
        BRIEF.saturating_sub(self.spent)
    }
}
