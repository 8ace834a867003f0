//! Forked children for unit tests. The test program has several threads, a child of it has one.

use std::panic::{UnwindSafe, catch_unwind};

use nix::sys::wait::{WaitStatus, waitpid};

use super::process::{self, Forked};

/// Runs `work` in a child. Returns its exit status: 1 if `work` panics, else 0.
pub(super) fn run(work: impl FnOnce() + UnwindSafe) -> i32 {
    // SAFETY: the child uses no lock that a thread of the test program may hold but those of malloc, which glibc makes free in a
    // child, and of the standard streams, which it only uses to fail.
    match unsafe { process::fork() }.unwrap() {
        Forked::Child => process::exit_now(i32::from(catch_unwind(work).is_err())),
        Forked::Parent(pid) => match waitpid(pid, None).unwrap() {
            WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}"),
        },
    }
}
