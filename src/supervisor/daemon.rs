//! Going into the background, and the pid file.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, setsid};

use crate::exit::ExitCode;
use crate::log::{self, messages::lifecycle::daemon_not_ready};
use crate::sys::fd::{self, Stream};
use crate::sys::process::Forked;
use crate::sys::single_threaded;

/// The parent waits this long until all groups that can start accept connections: longer than PHP may take to start, preloading included.
const PATIENCE_MS: u16 = 65_000;

/// The two processes after the fork into the background.
#[derive(Debug)]
pub(super) enum Side {
    /// The process that was started, with its exit status: the supervisor has started or failed.
    Starter(i32),
    /// The supervisor, with the pipe through which it reports to the process that was started.
    Supervisor(OwnedFd),
}

/// Forks; the child is in a session of its own without a controlling terminal.
///
/// # Errors
/// Those of pipe and fork.
pub(super) fn daemonize() -> io::Result<Side> {
    let (wait, tell) = pipe2(OFlag::O_CLOEXEC)?;
    match single_threaded::fork()? {
        Forked::Parent(_) => {
            drop(tell);
            Ok(Side::Starter(await_word(wait)))
        }
        Forked::Child => {
            setsid()?;
            Ok(Side::Supervisor(tell))
        }
    }
}

fn await_word(wait: OwnedFd) -> i32 {
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(wait.as_fd(), PollFlags::POLLIN)];
    if !matches!(poll(&mut fds, PollTimeout::from(PATIENCE_MS)), Ok(1..)) {
        log::say(&daemon_not_ready());
        return ExitCode::Software.status();
    }
    let mut word = [0u8; 1];
    match fs::File::from(wait).read(&mut word) {
        Ok(1) if word[0] == 1 => 0,
        _ => ExitCode::Software.status(),
    }
}

/// Reports to the starting process whether the start has succeeded: all groups that can start accept connections.
pub(super) fn tell(starter: OwnedFd, accepts: bool) {
    let _ = fs::File::from(starter).write_all(&[u8::from(accepts)]);
}

/// In the foreground as well: a session of its own without a controlling terminal, and nothing to read from. One that
/// leads a process group already stays in its session: an interactive shell's job, which Ctrl-C and Ctrl-Z are to
/// reach, or a container's first process.
///
/// # Errors
/// Those of open and dup2.
pub(super) fn leave_caller() -> io::Result<()> {
    let _ = setsid();
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    fd::redirect(Stream::Stdin, &null)
}

/// Opens what is missing of 0, 1, 2, so that no other descriptor gets these numbers.
pub(super) fn fill_streams() {
    while let Ok(file) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let opened = OwnedFd::from(file);
        if std::os::fd::AsRawFd::as_raw_fd(&opened) > 2 {
            break;
        }
        let _ = fd::set_cloexec(&opened, false);
        let _ = std::os::fd::IntoRawFd::into_raw_fd(opened);
    }
}
