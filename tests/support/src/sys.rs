//! The only module of the testkit with `unsafe`: code that runs in a child between fork and exec, and system calls
//! without a safe wrapper.
#![allow(unsafe_code, reason = "a filter can only be installed by the process that it is for; libc has no pidfd calls")]

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Installs a filter in the child right before its exec.
pub(crate) fn filtered(command: &mut Command, filter: Vec<libc::sock_filter>) {
    let privileged = nix::unistd::geteuid().is_root();
    // SAFETY: between fork and exec the closure only makes system calls; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(move || install(&filter, privileged)) };
}

fn install(filter: &[libc::sock_filter], privileged: bool) -> io::Result<()> {
    let program =
        libc::sock_fprog { len: u16::try_from(filter.len()).unwrap_or(0), filter: filter.as_ptr().cast_mut() };
    // Without CAP_SYS_ADMIN the kernel asks for this first.
    // SAFETY: plain integers.
    if !privileged && unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the program and its steps live until the call returns; the kernel copies and does not write them.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A descriptor of another process, under a number of this one.
pub(crate) fn borrow(pid: i32, number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain integers.
    let process = own(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: plain integers; the first is a pidfd that lives until the call returns.
    own(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })
}

fn own(returned: libc::c_long) -> io::Result<OwnedFd> {
    let number = RawFd::try_from(returned).map_err(|_| io::ErrorKind::InvalidData)?;
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just installed this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Moves a byte from a socket to a pipe (splice(2)). While it waits for the byte, it holds the kernel's lock of the pipe.
pub(crate) fn splice(from: &OwnedFd, to: &OwnedFd) {
    let none = std::ptr::null_mut();
    // SAFETY: both descriptors live until the call returns, and null offsets are allowed for sockets and pipes.
    let _ = unsafe { libc::splice(from.as_raw_fd(), none, to.as_raw_fd(), none, 1, 0) };
}
