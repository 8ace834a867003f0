//! Files that the configuration names: sockets, logs, the pid file. Their paths may lead through a directory of a pool's user,
//! who can put a symbolic link there or a mount that hangs. So root walks only the part of a path that no other user can have
//! made (`walk.rs`). From there on a child that becomes that user walks and carries out the operation (`user_child.rs`). A
//! supervisor that is not root opens paths as they are.

mod controller;
mod directory;
mod entry;
pub mod mount_list;
pub mod mounts;
mod names;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod ownership;
pub mod statx;
mod time_limit;
mod user_child;
mod walk;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::Uid;

pub use controller::Controller;
pub use directory::{DirectoryId, Look, is_directory};
pub use entry::Entry;
pub use ownership::other_writer;
use user_child::{Report, UserChild};
pub use walk::Rules;
use walk::{walk, walk_on};

/// An operation on an entry. It may run in a child: changes of the process's memory are lost then.
pub type Op = dyn Fn(&Entry) -> io::Result<Answer>;

/// The result of an operation.
#[derive(Debug, Default)]
pub struct Answer {
    /// A descriptor.
    pub file: Option<OwnedFd>,
    /// A number. The operation defines its meaning.
    pub note: u32,
}

/// A finished task.
#[derive(Debug)]
pub struct Finished {
    /// The result of the operation.
    pub answer: Answer,
    /// Who can replace the file.
    pub controller: Controller,
    /// A user whose directory the path led through, though the file is in another one: the user can replace a part of the path.
    pub through: Option<u32>,
}

/// An operation on the file at a path.
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

/// How often a path may lead from one user's directories into another's.
const MOST_CROSSINGS: u32 = 8;

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("rules", &self.rules).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Task {
    /// Carries out the operation, or starts a child that does. The child has no descriptors but these and its own, so the operation
    /// may use no others.
    pub fn start(path: &Path, rules: Rules, keep: &[RawFd], op: Box<Op>) -> Self {
        let none = State::Over(None);
        let mut task = Self { op, rules, keep: keep.to_vec(), through: None, crossings: 0, state: none };
        let entry = if Uid::effective().is_root() { walk(path, &task.rules) } else { Ok(Entry::of_path(path)) };
        task.state = task.at(entry);
        task
    }

    fn at(&self, entry: io::Result<Entry>) -> State {
        let begun = entry.map(|entry| Entry { through: self.through.is_some(), ..entry }).and_then(|entry| {
            match (entry.controller, &entry.dir) {
                (Controller::User(user), Some(dir)) => {
                    Ok(State::Child(UserChild::start(user, (dir, &entry), &self.keep, &*self.op)?, user))
                }
                (controller, _) => {
                    let answer = (self.op)(&entry)?;
                    Ok(State::Over(Some(Ok(Finished { answer, controller, through: self.through }))))
                }
            }
        });
        begun.unwrap_or_else(|e| State::Over(Some(Err(e))))
    }

    /// The result, if it is there by then (`None`: now). It is given once.
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

    /// Whether the result is there by then (`None`: now). It is kept.
    pub fn is_over(&mut self, until: Option<Instant>) -> bool {
        let outcome = self.poll(until);
        let is_over = outcome.is_some();
        if is_over {
            self.state = State::Over(outcome);
        }
        is_over
    }

    /// Waits for the result. The time limits of the users on the path bound the wait.
    ///
    /// # Errors
    /// Those of the walk and of the operation.
    pub fn wait(mut self) -> io::Result<Finished> {
        let until = Instant::now() + time_limit::LIMIT * (MOST_CROSSINGS + 1) + Duration::from_secs(1);
        self.poll(Some(until)).unwrap_or_else(|| Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)))
    }
}

/// Carries out an operation and waits for its result.
///
/// # Errors
/// Those of the walk and of the operation.
pub fn run(path: &Path, rules: Rules, op: impl Fn(&Entry) -> io::Result<Answer> + 'static) -> io::Result<Finished> {
    Task::start(path, rules, &[], Box::new(op)).wait()
}

/// The warning about a path of which a user can replace a part.
#[must_use]
pub fn leads_through(path: &str, user: u32) -> String {
    format!(
        "the path '{path}' leads through a directory of user {user}, who can replace what is in it: use directories that belong \
         to root or to that user alone; a later version will refuse this"
    )
}

/// A path of an open file (`/proc/self/fd/N`), for calls that take a path.
#[must_use]
pub fn name_of(file: &OwnedFd) -> std::path::PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
