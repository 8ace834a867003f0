//! Zygotes of a former version of this program, left by a reload: they report over the socket of their orders and can send descriptors
//! with a message. Closing such a descriptor can take as long as its sender likes (a TCP socket that lingers, a file of a file system
//! in user space), so the supervisor neither receives nor closes any: children of its own do.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};

use crate::ipc::{Channel, Incoming, ReportReceiver, ToSupervisor};
use crate::sys::{fd, helper, message, packets, process, title};

/// Starts a child that reads a zygote's socket and passes its messages on through a pipe, as other zygotes have it. The child closes
/// descriptors that come with them.
///
/// # Errors
/// `EMFILE`, `EAGAIN`, `ENOMEM`.
pub(crate) fn hear_by_child(socket: &OwnedFd, group: &str) -> io::Result<ReportReceiver<ToSupervisor>> {
    message::refuse_descriptors(socket);
    let (reading, writing) = packets::pair()?;
    helper::start([socket.as_fd(), writing.as_fd()], getpid(), hear)?;
    Ok(ReportReceiver::new(reading, group))
}

/// The child. It has the socket open, and the zygote is to notice when the supervisor ends, so it ends with the supervisor.
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
    while await_message(&channel, writing.as_ref()) {
        match channel.receive() {
            Incoming::Message(message, _) => {
                let passed = writing.as_ref().map(|writing| packets::send(writing, &message.packet()));
                if matches!(passed, Some(Err(_))) {
                    return;
                }
            }
            Incoming::Nothing => {}
            Incoming::Gone => return,
            // The pipe ends, since this is no message. The rest is still read, so that nothing stays in the socket.
            Incoming::Nonsense => writing = None,
        }
    }
}

/// Waits for a message. False: the supervisor has closed the pipe.
fn await_message(channel: impl AsFd, writing: Option<&OwnedFd>) -> bool {
    let fds = [
        Some(PollFd::new(channel.as_fd(), PollFlags::POLLIN)),
        writing.map(|fd| PollFd::new(fd.as_fd(), PollFlags::empty())),
    ];
    let mut fds: Vec<PollFd<'_>> = fds.into_iter().flatten().collect();
    let _ = poll(&mut fds, PollTimeout::NONE);
    fds.get(1).and_then(PollFd::revents).is_none_or(|events| events.is_empty())
}
