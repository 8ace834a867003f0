//! Work at the paths of sockets that may take long, since they are in directories of users, and that no other work needs: new owners
//! and modes, and removals. The event loop waits for it only briefly, and then looks at it again and again.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::log;
use crate::supervisor::sockets::options::SocketOptions;
use crate::supervisor::sockets::paths;
use crate::sys::socket_file::{Placing, Removal, Search};

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
        /// The path.
        name: String,
        /// The present name of the file.
        file: PathBuf,
        /// A copy of the socket.
        socket: OwnedFd,
        /// A copy of the former user's.
        former: Option<OwnedFd>,
        /// The change of names.
        placing: Placing,
    },
    /// The path is removed.
    Removal {
        /// The path.
        name: String,
        /// The removal.
        removal: Removal,
    },
}

/// How long was waited in vain, and since when that is counted.
#[derive(Debug, Default)]
pub(super) struct Waited {
    since: Option<Instant>,
    spent: Duration,
}

impl Background {
    pub(super) fn is_over(&mut self, until: Instant) -> bool {
        match self {
            Self::Access { search, .. } => search.is_over(until),
            Self::Place { placing, .. } => placing.is_over(until),
            Self::Removal { removal, .. } => removal.is_over(until),
        }
    }

    /// Waits for its end. Returns the copies of sockets, which may be the last ones.
    pub(super) fn finish(self) -> Vec<OwnedFd> {
        match self {
            Self::Access { name, socket, options, search } => {
                options.apply(&name, &socket, search).unwrap_or_else(|e| log::say(&e.message()));
                vec![socket]
            }
            Self::Place { name, file, socket, former, placing } => {
                paths::finish_placing(&name, &file, (&socket, former.as_ref()), placing);
                former.into_iter().chain([socket]).collect()
            }
            Self::Removal { name, removal } => {
                paths::finish_unlink(&name, removal);
                Vec::new()
            }
        }
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
