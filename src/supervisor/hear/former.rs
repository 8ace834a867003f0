//! Zygotes of a former version of this program, which a reload has left here: they speak over the socket that they get their orders
//! from, and can send descriptors along. Closing one can take as long as its sender likes (a TCP socket that lingers, a file of a
//! file system in user space), so that the supervisor neither receives nor closes any: children of its own do.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid, pipe2, read};

use crate::ipc::{Channel, Incoming, ReportReceiver, ToSupervisor};
use crate::sys::process::{self, Forked};
use crate::sys::{fd, helper, message, packets, single_threaded, title};

/// Hears a zygote by a child that reads its socket and passes on what it says, in a pipe as others have. Descriptors end there.
///
/// # Errors
/// `EMFILE`, `EAGAIN`, `ENOMEM`.
pub fn hear_by_child(socket: &OwnedFd) -> io::Result<ReportReceiver<ToSupervisor>> {
    message::refuse_descriptors(socket);
    let (reading, writing) = packets::pair()?;
    helper::start([socket.as_fd(), writing.as_fd()], getpid(), hear)?;
    Ok(ReportReceiver::new(reading))
}

/// The child. It holds the socket open, and the zygote is to notice the end of the supervisor, so it ends with the supervisor.
fn hear([socket, writing]: [OwnedFd; 2], supervisor: Pid) {
    let tied = process::die_with_parent(Signal::SIGKILL);
    if tied.is_ok() && getppid() == supervisor {
        title::set("php-fpm: hears a zygote of the former version");
        pass_on(Channel::new(socket), writing);
    }
}

fn pass_on(mut channel: Channel<(), ToSupervisor>, writing: OwnedFd) {
    let _ = fd::set_nonblocking(&writing, false);
    let mut writing = Some(writing);
    while await_word(&channel, writing.as_ref()) {
        match channel.receive() {
            Incoming::Message(message, _) => {
                let passed = writing.as_ref().map(|writing| packets::send(writing, &message.packet()));
                if matches!(passed, Some(Err(_))) {
                    return;
                }
            }
            Incoming::Nothing => {}
            Incoming::Gone => return,
            // What is no message is told by the end of the pipe. The rest is taken, so that nothing is left in the socket.
            Incoming::Nonsense => writing = None,
        }
    }
}

/// False: the supervisor doesn't listen any more.
fn await_word(channel: impl AsFd, writing: Option<&OwnedFd>) -> bool {
    let fds = [
        Some(PollFd::new(channel.as_fd(), PollFlags::POLLIN)),
        writing.map(|fd| PollFd::new(fd.as_fd(), PollFlags::empty())),
    ];
    let mut fds: Vec<PollFd<'_>> = fds.into_iter().flatten().collect();
    let _ = poll(&mut fds, PollTimeout::NONE);
    fds.get(1).and_then(PollFd::revents).is_none_or(|events| events.is_empty())
}

/// Closes what others may have put descriptors into, without waiting: a child has it open until it is closed here, and ends then,
/// which nothing delays.
pub fn close_aside(fds: Vec<OwnedFd>) {
    if fds.is_empty() {
        return;
    }
    let Ok((reading, writing)) = pipe2(nix::fcntl::OFlag::O_CLOEXEC) else { return };
    match single_threaded::fork() {
        Ok(Forked::Child) => {
            drop(writing);
            let _ = read(&reading, &mut [0]);
            process::exit_now(0)
        }
        // Where no process can be made they are closed here all the same: they must not pile up.
        Ok(Forked::Parent(_)) | Err(_) => drop(fds),
    }
}
