//! Forks a zygote as a child of the supervisor: with `CLONE_PARENT`, or, where that is not possible, by a process between, whose end
//! makes it the supervisor's child. It waits until the supervisor can know its pid.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use super::Base;
use crate::ipc::FromBase;
use crate::sys::process::{self, Forked};
use crate::sys::{signal, single_threaded};

impl Base {
    /// Forks a zygote. True in the zygote, whose signals are blocked.
    pub(super) fn fork(&mut self, request: u64) -> bool {
        let Ok(mask) = signal::block_all() else { return false };
        match fork_sibling() {
            Ok(Sibling::Parent { pid, go }) => {
                self.report(&FromBase::Forked { request, pid: pid.as_raw() });
                // The zygote exits if it does not get this byte.
                let _ = File::from(go).write_all(&[1]);
            }
            Ok(Sibling::Child) => return true,
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(libc::EIO);
                self.report(&FromBase::ForkFailed { request, errno });
            }
        }
        let _ = signal::set_mask(&mask);
        false
    }
}

enum Sibling {
    /// In the base: the zygote's pid, and a pipe that lets it go on.
    Parent { pid: Pid, go: OwnedFd },
    /// In the zygote.
    Child,
}

/// By one fork, if the system can do that.
fn fork_sibling() -> std::io::Result<Sibling> {
    let (wait, go) = pipe2(OFlag::O_CLOEXEC)?;
    match single_threaded::fork_sibling() {
        Ok(Forked::Parent(pid)) => Ok(Sibling::Parent { pid, go }),
        Ok(Forked::Child) => {
            drop(go);
            await_go(wait);
            Ok(Sibling::Child)
        }
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM)) => Err(e),
        Err(_) => fork_grandchild(),
    }
}

fn await_go(wait: OwnedFd) {
    if File::from(wait).read_exact(&mut [0]).is_err() {
        process::exit_now(0);
    }
}

fn fork_grandchild() -> std::io::Result<Sibling> {
    let (pids, tell) = pipe2(OFlag::O_CLOEXEC)?;
    let (wait, go) = pipe2(OFlag::O_CLOEXEC)?;
    match single_threaded::fork()? {
        Forked::Parent(between) => {
            drop((tell, wait));
            let mut answer = [0; size_of::<i32>()];
            let read = File::from(pids).read_exact(&mut answer);
            while waitpid(between, None) == Err(Errno::EINTR) {}
            read?;
            match i32::from_ne_bytes(answer) {
                pid if pid > 1 => Ok(Sibling::Parent { pid: Pid::from_raw(pid), go }),
                errno => Err(std::io::Error::from_raw_os_error(-errno)),
            }
        }
        Forked::Child => {
            drop((pids, go));
            let answer = match single_threaded::fork() {
                Ok(Forked::Parent(pid)) => pid.as_raw(),
                Ok(Forked::Child) => {
                    drop(tell);
                    await_go(wait);
                    return Ok(Sibling::Child);
                }
                Err(e) => -e.raw_os_error().unwrap_or(libc::EIO),
            };
            let _ = File::from(tell).write_all(&answer.to_ne_bytes());
            process::exit_now(0)
        }
    }
}
