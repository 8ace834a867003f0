//! A fork whose child has the parent of this process as its parent (clone(2), `CLONE_PARENT`). libc has no function for that. This file
//! does for the child what libc's fork does: the kernel updates the thread id that libc keeps, and knows the robust mutexes.

use std::io;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::process::Forked;

/// Forks a child of this process's parent (clone(2), `CLONE_PARENT`). [`super::single_threaded::fork_sibling`] is the safe form.
/// Functions that libraries have registered by pthread_atfork(3) do not run.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`; others: this cannot be done here, and nothing was forked.
///
/// # Safety
/// The contract of [`super::process::fork`].
pub(super) unsafe fn fork_sibling() -> io::Result<Forked> {
    let thread_id = place_of_thread_id()?;
    let mutexes = RobustMutexes::of_this_thread()?;
    let flags = libc::CLONE_PARENT | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child has memory of its own, and without a stack it continues on its copy of this one. The kernel
    // writes the child's id to where libc keeps it, in the child's memory, as for libc's fork(). The address stands twice since the
    // order of the last two arguments differs between architectures; the other one is unused without CLONE_SETTLS.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, thread_id, thread_id) };
    match i32::try_from(Errno::result(pid)?) {
        Ok(0) => {
            mutexes.register();
            Ok(Forked::Child)
        }
        Ok(pid) => Ok(Forked::Parent(Pid::from_raw(pid))),
        Err(_) => Err(Errno::EOVERFLOW.into()),
    }
}

/// Where libc keeps the id of the main thread, which it has told the kernel (set_tid_address(2), `PR_GET_TID_ADDRESS`).
fn place_of_thread_id() -> io::Result<*mut libc::pid_t> {
    let mut place: *mut libc::pid_t = std::ptr::null_mut();
    // SAFETY: the kernel writes an address to a local variable.
    let done = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut place) };
    Errno::result(done)?;
    if place.is_null() || !place.is_aligned() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: libc has registered the address of a number that lives as long as its thread.
    let id = unsafe { place.read() };
    // Not all libc keep the thread's id there.
    if id == nix::unistd::gettid().as_raw() { Ok(place) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// The list of robust mutexes of a thread, which a child of clone(2) has to register again (set_robust_list(2)).
struct RobustMutexes {
    head: *mut libc::c_void,
    length: libc::size_t,
}

impl RobustMutexes {
    fn of_this_thread() -> io::Result<Self> {
        let mut list = Self { head: std::ptr::null_mut(), length: 0 };
        // SAFETY: the kernel writes an address and a length to local variables.
        let done = unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut list.head, &raw mut list.length) };
        Errno::result(done)?;
        Ok(list)
    }

    fn register(self) {
        // SAFETY: the child has a copy of the list at the same address, which libc has registered for this thread.
        unsafe { libc::syscall(libc::SYS_set_robust_list, self.head, self.length) };
    }
}
