//! Files that a configuration names, wherever they are. A path may lead through a directory of a pool's user, who can put a
//! link there, or a mount that hangs. So root goes as far as only root can have made the way; from there on a child goes
//! that is that user (`user_child.rs`). A supervisor that isn't root takes paths as they are.

pub mod mounts;
pub mod statx;
mod time_limit;
mod user_child;
mod walk;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::Uid;

use user_child::{Report, UserChild};
pub use walk::{Controller, Entry, Rules};
use walk::{walk, walk_on};

/// What is done at a entry. It may be done in a child: what it changes but files is lost.
pub type Op = dyn Fn(&Entry) -> io::Result<Answer>;

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
pub struct Finished {
    /// The operation's own.
    pub answer: Answer,
    /// Who keeps the directory.
    pub controller: Controller,
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
    Over(Option<io::Result<Finished>>),
    Child(UserChild, u32),
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
        let entry = if Uid::effective().is_root() {
            walk(path, &task.rules)
        } else {
            Ok(Entry {
                dir: None,
                name: path.to_owned(),
                controller: Controller::Own,
                magic: false,
                linked: false,
                through: false,
            })
        };
        task.state = task.at(entry);
        task
    }

    fn at(&self, entry: io::Result<Entry>) -> State {
        let begun = entry.map(|entry| Entry { through: self.through.is_some(), ..entry }).and_then(|entry| {
            match (entry.controller, &entry.dir) {
                (Controller::User(user), Some(dir)) => {
                    Ok(State::Child(UserChild::start(user, dir, &entry.name, &self.keep, &*self.op)?, user))
                }
                (controller, _) => {
                    let answer = (self.op)(&entry)?;
                    Ok(State::Over(Some(Ok(Finished { answer, controller, through: self.through }))))
                }
            }
        });
        begun.unwrap_or_else(|e| State::Over(Some(Err(e))))
    }

    /// The outcome, if it is there by then. Once it has been given, there is none.
    pub fn poll(&mut self, until: Option<Instant>) -> Option<io::Result<Finished>> {
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
                    State::Over(Some(Ok(Finished { answer, controller: Controller::User(user), through })))
                }
                Err(e) => State::Over(Some(Err(e))),
            };
        }
    }

    /// The outcome. Takes no longer than the place is given to answer, from the start on.
    ///
    /// # Errors
    /// Those of the way and of the operation.
    pub fn wait(mut self) -> io::Result<Finished> {
        let until = Instant::now() + time_limit::LIMIT * (MOST_CROSSINGS + 1) + Duration::from_secs(1);
        self.poll(Some(until)).unwrap_or_else(|| Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)))
    }
}

/// Does it and waits for it.
///
/// # Errors
/// Those of the way and of the operation.
pub fn run(path: &Path, rules: Rules, op: impl Fn(&Entry) -> io::Result<Answer> + 'static) -> io::Result<Finished> {
    Task::start(path, rules, &[], Box::new(op)).wait()
}

/// Whether there is a directory. One that can't be reached from here may be one.
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    if !Uid::effective().is_root() {
        return path.is_dir();
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let open = move |entry: &Entry| {
        let opened = nix::fcntl::openat(entry.dir(), &entry.name, flags, Mode::empty())?;
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
