//! Confines a process that needs no file and no other system call than a few: Landlock (landlock(7)) and seccomp (seccomp(2)). Both are
//! for ever, and both may be missing from the kernel.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// What the kernel has put into effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confined {
    /// No path can be opened, made or removed, and no address bound or connected to.
    pub paths: bool,
    /// System calls other than those that were named fail with `EPERM`.
    pub calls: bool,
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

/// Confines this process.
///
/// # Errors
/// The kernel has one of both, but refuses it.
pub fn confine() -> io::Result<Confined> {
    // Landlock first: the filter does not allow its calls.
    Ok(Confined { paths: forbid_paths()?, calls: limit_calls()? })
}

fn forbid_paths() -> io::Result<bool> {
    let abi = ABI::V6;
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create);
    let status = rules.and_then(landlock::RulesetCreated::restrict_self).map_err(io::Error::other)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

fn limit_calls() -> io::Result<bool> {
    let Ok(architecture) = std::env::consts::ARCH.try_into() else { return Ok(false) };
    let rules: BTreeMap<_, _> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let refused = u32::try_from(libc::EPERM).map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Errno(refused), SeccompAction::Allow, architecture);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    match seccompiler::apply_filter(&program) {
        Ok(()) => Ok(true),
        // A kernel without seccomp.
        Err(seccompiler::Error::Prctl(e) | seccompiler::Error::Seccomp(e))
            if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
        {
            Ok(false)
        }
        Err(e) => Err(io::Error::other(e)),
    }
}
