//! Confines a process that needs no file and no other system call than a few: Landlock (landlock(7)) and seccomp (seccomp(2)). Both are
//! for ever, and both may be missing from the kernel.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// What is not in effect, with the reason.
#[derive(Debug, Default)]
pub struct Missing {
    /// Landlock: no path can be opened, made or removed, and no address bound or connected to.
    pub paths: Option<io::Error>,
    /// seccomp: system calls other than those that were named fail with `ENOSYS`. The C library knows that answer from older kernels,
    /// and then tries another call.
    pub calls: Option<io::Error>,
}

/// The calls of a process that answers on sockets, has all files open that it needs, and maps memory that it is sent.
const CALLS: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_fcntl,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_epoll_ctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Confines this process as far as the kernel, and the container if it is in one, let it.
pub fn confine() -> Missing {
    // Landlock first: the filter does not allow its calls.
    Missing { paths: forbid_paths().err(), calls: limit_calls().err() }
}

fn forbid_paths() -> io::Result<()> {
    let abi = ABI::V6;
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create);
    let status = rules.and_then(landlock::RulesetCreated::restrict_self).map_err(io::Error::other)?;
    if status.ruleset == RulesetStatus::NotEnforced { Err(absent()) } else { Ok(()) }
}

fn limit_calls() -> io::Result<()> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|_| absent())?;
    let rules: BTreeMap<_, _> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let refused = u32::try_from(libc::ENOSYS).map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Errno(refused), SeccompAction::Allow, architecture);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(|e| match e {
        seccompiler::Error::Prctl(e) | seccompiler::Error::Seccomp(e) => match e.raw_os_error() {
            Some(libc::ENOSYS | libc::EINVAL) => absent(),
            _ => e,
        },
        other => io::Error::other(other),
    })
}

fn absent() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "not in this kernel")
}
