//! The signal actions and the signal mask of a process, saved so that they can be restored after a script has changed them.

use std::ffi::c_int;
use std::mem::MaybeUninit;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

/// The highest signal number on Linux (`SIGRTMAX`).
const LAST: c_int = 64;

/// The signals that end a worker or ask it to leave. One that arrived while it was blocked stays pending.
const KEPT: [Signal; 3] = [Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGINT];

/// Saved actions and mask.
pub struct Dispositions {
    actions: Vec<(c_int, libc::sigaction)>,
    mask: SigSet,
}

impl std::fmt::Debug for Dispositions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispositions").field("mask", &self.mask).finish_non_exhaustive()
    }
}

impl Dispositions {
    /// Saves the current ones.
    #[must_use]
    pub fn now() -> Self {
        let mut mask = SigSet::empty();
        let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, None, Some(&mut mask));
        Self { actions: (1..=LAST).filter_map(|signal| Some((signal, action(signal)?))).collect(), mask }
    }

    /// Restores the actions.
    pub fn restore_actions(&self) {
        self.actions.iter().for_each(|(signal, action)| set_action(*signal, action));
    }

    /// Restores the mask. A pending signal that only the script expected, such as SIGALRM, is discarded.
    pub fn restore_mask(&self) {
        let waiting = pending();
        for (signal, action) in &self.actions {
            if waiting.is_some_and(|set| has(&set, *signal)) && !KEPT.iter().any(|kept| *kept as c_int == *signal) {
                let mut ignored = *action;
                ignored.sa_sigaction = libc::SIG_IGN;
                set_action(*signal, &ignored);
                set_action(*signal, action);
            }
        }
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
    }
}

fn action(signal: c_int) -> Option<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with a null action the call changes nothing. It writes to a place that lives during the call.
    let done = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: every member is a number or a nullable pointer, zeroed and then written by the kernel.
    (done == 0).then(|| unsafe { action.assume_init() })
}

fn set_action(signal: c_int, action: &libc::sigaction) {
    // SAFETY: the action is one that this process had before (`action`), so its handler is still loaded, or `SIG_IGN`.
    unsafe { libc::sigaction(signal, std::ptr::from_ref(action), std::ptr::null_mut()) };
}

fn pending() -> Option<libc::sigset_t> {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the call writes to a set that lives during the call.
    let done = unsafe { libc::sigpending(set.as_mut_ptr()) };
    // SAFETY: every member is a number, zeroed and then written by the kernel.
    (done == 0).then(|| unsafe { set.assume_init() })
}

fn has(set: &libc::sigset_t, signal: c_int) -> bool {
    // SAFETY: the set is initialized and only read. A number that is no signal gives an error.
    unsafe { libc::sigismember(std::ptr::from_ref(set), signal) == 1 }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, raise, sigaction};

    use super::*;
    use crate::sys::signal::is_blocked;

    #[test]
    fn a_pending_signal_of_a_script_is_discarded() {
        let before = Dispositions::now();
        let usr: SigSet = [Signal::SIGUSR1].into_iter().collect();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&usr), None).unwrap();
        raise(Signal::SIGUSR1).unwrap();
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: an ignored signal runs no code.
        unsafe { sigaction(Signal::SIGUSR2, &ignore) }.unwrap();
        // The default action of SIGUSR1 would end the tests.
        before.restore_mask();
        before.restore_actions();
        assert!(!is_blocked(Signal::SIGUSR1));
        assert_eq!(action(Signal::SIGUSR2 as c_int).unwrap().sa_sigaction, libc::SIG_DFL);
    }
}
