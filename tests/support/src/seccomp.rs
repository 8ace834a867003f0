//! Refuses system calls to a program that is about to start, as the filters of containers do.

use std::io;
use std::process::Command;

use crate::sys;

/// One call that does not reach the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// `libc::SYS_…`.
    pub call: i64,
    /// Only with this third argument (the protocol of a socket).
    pub third: Option<u32>,
    /// The error that the caller gets; 0: the call appears to succeed.
    pub error: i32,
}

impl Refused {
    /// With EPERM, whatever its arguments.
    #[must_use]
    pub fn call(call: i64) -> Self {
        Self { call, third: None, error: libc::EPERM }
    }

    /// Only with that third argument.
    #[must_use]
    pub fn third(mut self, value: i32) -> Self {
        self.third = Some(value.cast_unsigned());
        self
    }

    /// The call appears to succeed.
    #[must_use]
    pub fn pretended(mut self) -> Self {
        self.error = 0;
        self
    }
}

/// The calls that an old container runtime refuses: those newer than its list, and those that inspect other
/// processes.
#[must_use]
pub fn of_old_containers() -> Vec<Refused> {
    const LATER: [i64; 5] =
        [libc::SYS_close_range, libc::SYS_openat2, libc::SYS_pidfd_open, libc::SYS_faccessat2, libc::SYS_epoll_pwait2];
    const OTHERS: [i64; 6] = [
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kcmp,
        libc::SYS_sched_setscheduler,
        libc::SYS_setpriority,
    ];
    let diag = Refused::call(libc::SYS_socket).third(libc::NETLINK_SOCK_DIAG);
    [LATER.as_slice(), &OTHERS].concat().into_iter().map(Refused::call).chain([diag]).collect()
}

/// Refuses these calls to the program and to every process that it starts. Without root, set-user-ID programs lose
/// their effect in it, too.
///
/// # Errors
/// On a machine whose calls have other numbers than those this was built for.
pub fn refuse(command: &mut Command, calls: &[Refused]) -> io::Result<()> {
    let filter = program(calls)?;
    sys::filtered(command, filter);
    Ok(())
}

// Places in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const THIRD: u32 = 32;

/// The filter: a few comparisons for each call; other calls pass.
fn program(calls: &[Refused]) -> io::Result<Vec<libc::sock_filter>> {
    let allow = give(libc::SECCOMP_RET_ALLOW);
    let mut steps = vec![load(ARCHITECTURE), skip_if(architecture()?, 1, 0), allow];
    for refused in calls {
        let number = u32::try_from(refused.call).map_err(io::Error::other)?;
        let error = u32::try_from(refused.error).map_err(io::Error::other)?;
        let answer = give(libc::SECCOMP_RET_ERRNO | error);
        match refused.third {
            None => steps.extend([load(NUMBER), skip_if(number, 0, 1), answer]),
            Some(value) => {
                steps.extend([load(NUMBER), skip_if(number, 0, 3), load(THIRD), skip_if(value, 0, 1), answer]);
            }
        }
    }
    steps.push(allow);
    Ok(steps)
}

/// `AUDIT_ARCH_…` of this machine, little-endian of 64 bits.
fn architecture() -> io::Result<u32> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(0xc000_003e),
        "aarch64" => Ok(0xc000_00b7),
        other => Err(io::Error::other(format!("no filter is known for {other}"))),
    }
}

fn load(place: u32) -> libc::sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, place, 0, 0)
}

fn skip_if(value: u32, equal: u8, other: u8) -> libc::sock_filter {
    step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, equal, other)
}

fn give(answer: u32) -> libc::sock_filter {
    step(libc::BPF_RET | libc::BPF_K, answer, 0, 0)
}

fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k }
}
