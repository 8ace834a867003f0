//! Files that a configuration names, wherever they are. A path may lead through a directory of a pool's user, who can put a
//! link there, or a mount that hangs. So root goes as far as only root can have made the way; from there on a child goes
//! that is that user (`preparer.rs`). A supervisor that isn't root takes paths as they are.

pub mod look;
pub mod mounts;
mod patience;
mod preparer;
mod walk;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::Uid;

use preparer::{Preparer, Report};
pub use walk::{Keeper, Rules, Spot};
use walk::{walk, walk_on};

/// What is done at a spot. It may be done in a child: what it changes but files is lost.
pub type Op = dyn Fn(&Spot) -> io::Result<Answer>;

/// What came of it.
#[derive(Debug, Default)]
pub struct Answer {
    /// A descriptor.
    pub file: Option<OwnedFd>,
    /// A number; what it means is the operation's business.
    pub note: u32,
}

/// What came of it, and how.
#[derive(Debug)]
pub struct Outcome {
    /// The operation's own.
    pub answer: Answer,
    /// Who keeps the directory.
    pub keeper: Keeper,
    /// A user who can put something else into a place on the way to it, though the directory is not that user's.
    pub through: Option<u32>,
}

/// Something to be done at a path.
pub struct Task {
    op: Box<Op>,
    rules: Rules,
    keep: Vec<RawFd>,
    through: Option<u32>,
    crossings: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Over(Option<io::Result<Outcome>>),
    Child(Preparer, u32),
}

/// A path can leave a user's directories for another's so many times.
const MOST_CROSSINGS: u32 = 8;

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("rules", &self.rules).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Task {
    /// Does it, or has a child begin with it, which keeps these descriptors open.
    pub fn start(path: &Path, rules: Rules, keep: &[RawFd], op: Box<Op>) -> Self {
        let none = State::Over(None);
        let mut task = Self { op, rules, keep: keep.to_vec(), through: None, crossings: 0, state: none };
        let spot = if Uid::effective().is_root() {
            walk(path, &task.rules)
        } else {
            Ok(Spot {
                dir: None,
                name: path.to_owned(),
                keeper: Keeper::Own,
                magic: false,
                linked: false,
                through: false,
            })
        };
        task.state = task.at(spot);
        task
    }

    fn at(&self, spot: io::Result<Spot>) -> State {
        let begun = spot.map(|spot| Spot { through: self.through.is_some(), ..spot }).and_then(|spot| {
            match (spot.keeper, &spot.dir) {
                (Keeper::User(user), Some(dir)) => {
                    Ok(State::Child(Preparer::start(user, dir, &spot.name, &self.keep, &*self.op)?, user))
                }
                (keeper, _) => {
                    let answer = (self.op)(&spot)?;
                    Ok(State::Over(Some(Ok(Outcome { answer, keeper, through: self.through }))))
                }
            }
        });
        begun.unwrap_or_else(|e| State::Over(Some(Err(e))))
    }

    /// The outcome, if it is there by then. Once it has been given, there is none.
    pub fn poll(&mut self, until: Option<Instant>) -> Option<io::Result<Outcome>> {
        loop {
            let (report, user) = match &mut self.state {
                State::Over(outcome) => return outcome.take(),
                State::Child(child, user) => (child.report(until)?, *user),
            };
            self.state = match report {
                Ok(Report::Elsewhere(..)) if self.crossings >= MOST_CROSSINGS => {
                    State::Over(Some(Err(io::Error::from_raw_os_error(libc::ELOOP))))
                }
                Ok(Report::Elsewhere(dir, rest)) => {
                    self.crossings += 1;
                    self.through = Some(user);
                    self.at(walk_on(dir, &rest, &self.rules))
                }
                Ok(Report::Done(answer)) => {
                    let through = self.through;
                    State::Over(Some(Ok(Outcome { answer, keeper: Keeper::User(user), through })))
                }
                Err(e) => State::Over(Some(Err(e))),
            };
        }
    }

    /// The outcome. Takes no longer than the place is given to answer, from the start on.
    ///
    /// # Errors
    /// Those of the way and of the operation.
    pub fn wait(mut self) -> io::Result<Outcome> {
        let until = Instant::now() + patience::LIMIT * (MOST_CROSSINGS + 1) + Duration::from_secs(1);
        self.poll(Some(until)).unwrap_or_else(|| Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)))
    }
}

/// Does it and waits for it.
///
/// # Errors
/// Those of the way and of the operation.
pub fn run(path: &Path, rules: Rules, op: impl Fn(&Spot) -> io::Result<Answer> + 'static) -> io::Result<Outcome> {
    Task::start(path, rules, &[], Box::new(op)).wait()
}

/// Whether there is a directory. One that can't be reached from here may be one.
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    if !Uid::effective().is_root() {
        return path.is_dir();
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let open = move |spot: &Spot| {
        let opened = nix::fcntl::openat(spot.dir(), &spot.name, flags, Mode::empty())?;
        drop(opened);
        Ok(Answer::default())
    };
    let rules = Rules { follow: true, owners: None };
    match run(path, rules, open) {
        Ok(_) => true,
        Err(e) => e.raw_os_error() == Some(libc::EACCES),
    }
}

/// What is said of a way that a user can change.
#[must_use]
pub fn leads_through(path: &str, user: u32) -> String {
    format!(
        "the way to '{path}' leads through a directory of user {user}, who can replace what is in it: use directories of root's, \
         or of that user's alone; a later version refuses this"
    )
}

/// The name by which an open file can be given to calls that take a path.
#[must_use]
pub fn name_of(file: &OwnedFd) -> std::path::PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_known_by_any_name() {
        let place = tempfile::tempdir().unwrap();
        let name = |name: &str| place.path().join(name);
        std::fs::create_dir(name("a")).unwrap();
        std::fs::write(name("file"), "").unwrap();
        for (link, target) in [("root", "/"), ("to_a", "a"), ("to_file", "file"), ("round", "round")] {
            std::os::unix::fs::symlink(target, name(link)).unwrap();
        }
        for directory in ["", "a", "a/", "a/..", ".", "root", "to_a", "root/usr", "to_a/../a"] {
            assert!(is_directory(&name(directory)), "{directory:?}");
        }
        for other in ["file", "to_file", "none", "a/none", "file/..", "round"] {
            assert!(!is_directory(&name(other)), "{other:?}");
        }
        assert!(is_directory(Path::new("/")) && is_directory(Path::new("/..")));
    }
}
