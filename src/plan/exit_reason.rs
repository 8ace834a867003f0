//! Why a worker has ended, for the monitor. What the worker itself has written, such as how many requests it has begun, counts for its
//! own pool only.

use crate::sys::process::Exit;

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ExitReason {
    /// `pm.max_requests`.
    MaxRequests,
    /// `pm.max_memory`.
    MaxMemory,
    /// Its pool needs fewer workers.
    Idle,
    /// A reload, a renewal or a stop.
    Reload,
    /// A signal of the kernel: the program or an extension is wrong.
    Crash,
    /// `request_terminate_timeout`.
    Timeout,
    /// The kernel had no memory left.
    Oom,
    /// Anything else.
    Other,
}

impl ExitReason {
    /// Whether it is a limit that a worker itself watches. It can claim no other reason.
    fn is_limit(self) -> bool {
        matches!(self, Self::MaxRequests | Self::MaxMemory)
    }
}

/// All reasons with their names, in the order of the counters.
pub(crate) const REASONS: [(ExitReason, &str); 8] = [
    (ExitReason::MaxRequests, "max_requests"),
    (ExitReason::MaxMemory, "max_memory"),
    (ExitReason::Idle, "idle"),
    (ExitReason::Reload, "reload"),
    (ExitReason::Crash, "crash"),
    (ExitReason::Timeout, "timeout"),
    (ExitReason::Oom, "oom"),
    (ExitReason::Other, "other"),
];

/// What is known about a worker that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// It was told to leave because its pool needs fewer workers.
    pub(crate) retired: bool,
    /// Its generation drains, its zygote has ended, or php-fpm stops.
    pub(crate) drained: bool,
    /// It was ended because its request took too long.
    pub(crate) timed_out: bool,
    /// The kernel has killed a process for want of memory since the last look.
    pub(crate) memory_ran_out: bool,
    /// The limit that it has reached, as it says itself.
    pub(crate) reached: Option<ExitReason>,
}

/// Why it has ended.
#[must_use]
pub(crate) fn of(exit: Exit, life: &Life) -> ExitReason {
    match exit {
        _ if life.timed_out => ExitReason::Timeout,
        Exit::Signal(libc::SIGKILL, _) if life.memory_ran_out => ExitReason::Oom,
        exit if exit.is_crash() => ExitReason::Crash,
        _ if life.drained => ExitReason::Reload,
        _ if life.retired => ExitReason::Idle,
        Exit::Code(0) => life.reached.filter(|reason| reason.is_limit()).unwrap_or(ExitReason::Other),
        _ => ExitReason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Exit = Exit::Signal(libc::SIGKILL, false);
    const CRASHED: Exit = Exit::Signal(libc::SIGSEGV, true);

    fn reason(exit: Exit, change: impl Fn(&mut Life)) -> ExitReason {
        let mut life = Life::default();
        change(&mut life);
        of(exit, &life)
    }

    #[test]
    fn a_worker_that_ends_by_itself_tells_the_limit_and_nothing_else() {
        let claims = |exit, claim| reason(exit, |life| life.reached = Some(claim));
        let clean = [ExitReason::MaxRequests, ExitReason::MaxMemory, ExitReason::Oom].map(|c| claims(Exit::Code(0), c));
        assert_eq!(clean, [ExitReason::MaxRequests, ExitReason::MaxMemory, ExitReason::Other]);
        assert_eq!(reason(Exit::Code(0), |_| ()), ExitReason::Other);
        assert_eq!(claims(Exit::Code(255), ExitReason::MaxMemory), ExitReason::Other);
        assert_eq!(claims(CRASHED, ExitReason::MaxMemory), ExitReason::Crash);
    }

    #[test]
    fn who_was_told_to_leave_has_reached_none() {
        let told = |retired, drained| {
            reason(Exit::Code(0), |life| {
                (life.retired, life.drained, life.reached) = (retired, drained, Some(ExitReason::MaxRequests));
            })
        };
        assert_eq!(
            (told(true, false), told(false, true), told(true, true)),
            (ExitReason::Idle, ExitReason::Reload, ExitReason::Reload)
        );
    }

    #[test]
    fn signals_tell_more_than_circumstances() {
        assert_eq!(reason(CRASHED, |life| life.drained = true), ExitReason::Crash);
        assert_eq!(reason(KILLED, |life| life.timed_out = true), ExitReason::Timeout);
        assert_eq!(reason(KILLED, |life| life.memory_ran_out = true), ExitReason::Oom);
        assert_eq!(reason(CRASHED, |life| life.memory_ran_out = true), ExitReason::Crash);
        assert_eq!(reason(KILLED, |_| ()), ExitReason::Other);
    }

    #[test]
    fn the_names_are_in_the_order_of_the_reasons() {
        assert!(REASONS.iter().enumerate().all(|(at, (reason, _))| *reason as usize == at));
    }
}
