//! Changes the root and working directory of this process at a time when it no longer has the rights for it. A child process that
//! keeps the rights shares both directories with it (clone(2), `CLONE_FS`), and changes them on request.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Pid, Uid, chdir, chroot, pipe2, setfsgid, setfsuid};

use super::failure::reason;
use super::ids::Identity;
use super::process::{self, Forked};
use super::single_threaded;

/// Why the directories were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// chroot(2) failed.
    #[error("failed to chroot({}): {}", root.display(), reason(source))]
    Chroot {
        /// The directory.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The child has ended without an answer.
    #[error("the process that changes the root directory has ended early: {0}")]
    Gone(#[source] io::Error),
}

/// The child. Dropping it ends it.
#[derive(Debug)]
pub struct DirectoryChanger {
    pid: Pid,
    root: PathBuf,
    /// One byte asks for the change; the end of it ends the child.
    request: Option<OwnedFd>,
    answer: OwnedFd,
}

impl DirectoryChanger {
    /// Forks the child, which keeps the present rights. When asked, it makes `root` the root directory and then `directory` the
    /// working directory. If `directory` cannot be entered, `/` is the working directory. Where root has no rights for directories
    /// of others, as in some containers, those of `owner` are tried.
    ///
    /// # Errors
    /// `EAGAIN`, `EMFILE`, `ENOMEM`; the process has other threads.
    pub fn fork(root: &Path, directory: &Path, owner: &Identity) -> io::Result<Self> {
        let (requests, request) = pipe2(OFlag::O_CLOEXEC)?;
        let (answer, answers) = pipe2(OFlag::O_CLOEXEC)?;
        match single_threaded::fork_with_shared_directories()? {
            Forked::Parent(pid) => Ok(Self { pid, root: root.to_owned(), request: Some(request), answer }),
            Forked::Child => {
                drop((request, answer));
                serve(requests, answers, root, directory, owner)
            }
        }
    }

    /// Lets the child make the change.
    ///
    /// # Errors
    /// The root directory is the former one.
    pub fn change(mut self) -> Result<(), ChangeError> {
        let mut answer = [0; size_of::<i32>()];
        let request = self.request.take().ok_or(Errno::EPIPE).map_err(io::Error::from);
        let asked = request.and_then(|request| std::fs::File::from(request).write_all(&[1]));
        let answered = asked.and_then(|()| self.answer.try_clone()).map(std::fs::File::from);
        answered.and_then(|mut answers| answers.read_exact(&mut answer)).map_err(ChangeError::Gone)?;
        match i32::from_ne_bytes(answer) {
            0 => Ok(()),
            error => Err(ChangeError::Chroot { root: self.root.clone(), source: io::Error::from_raw_os_error(error) }),
        }
    }
}

impl Drop for DirectoryChanger {
    fn drop(&mut self) {
        drop(self.request.take());
        process::kill(self.pid, Signal::SIGKILL);
        while waitpid(self.pid, None) == Err(Errno::EINTR) {}
    }
}

/// The child.
fn serve(requests: OwnedFd, answers: OwnedFd, root: &Path, directory: &Path, owner: &Identity) -> ! {
    let _ = process::die_with_parent(Signal::SIGKILL);
    let asked = std::fs::File::from(requests).read_exact(&mut [0]);
    if asked.is_ok() {
        let changed = chroot(root).or_else(|error| {
            if error != Errno::EACCES {
                return Err(error);
            }
            // Both return the former id and no error.
            setfsgid(Gid::from_raw(owner.gid));
            setfsuid(Uid::from_raw(owner.uid));
            chroot(root)
        });
        let changed = changed.and_then(|()| chdir(directory).or_else(|_| chdir(Path::new("/"))));
        let answer = changed.map_or_else(|error| error as i32, |()| 0);
        let _ = std::fs::File::from(answers).write_all(&answer.to_ne_bytes());
    }
    process::exit_now(0)
}
