//! What a process does on signals, remembered so that it can be had again after a script has changed it.

use std::ffi::c_int;
use std::mem::MaybeUninit;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

/// Highest number of a signal on Linux.
const LAST: c_int = 64;

/// Those that end a worker or ask it to leave: one that has come while it was blocked still counts.
const ASKED: [Signal; 3] = [Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGINT];

/// Actions and mask.
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
    /// Those of this moment.
    #[must_use]
    pub fn now() -> Self {
        let mut mask = SigSet::empty();
        let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, None, Some(&mut mask));
        Self { actions: (1..=LAST).filter_map(|signal| Some((signal, action(signal)?))).collect(), mask }
    }

    /// Restores what happens on signals.
    pub fn restore_actions(&self) {
        self.actions.iter().for_each(|(signal, action)| set_action(*signal, action));
    }

    /// Restores which signals are blocked. What has come meanwhile for the script alone, an alarm for one, is dropped.
    pub fn restore_mask(&self) {
        let waiting = pending();
        for (signal, action) in &self.actions {
            if waiting.is_some_and(|set| has(&set, *signal)) && !ASKED.iter().any(|asked| *asked as c_int == *signal) {
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
    // SAFETY: asks only; the place is written where the call succeeds.
    let done = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: a structure of numbers, zeroed and then written.
    (done == 0).then(|| unsafe { action.assume_init() })
}

fn set_action(signal: c_int, action: &libc::sigaction) {
    // SAFETY: an action that this process had before, or that runs no code.
    unsafe { libc::sigaction(signal, std::ptr::from_ref(action), std::ptr::null_mut()) };
}

fn pending() -> Option<libc::sigset_t> {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: writes the set.
    let done = unsafe { libc::sigpending(set.as_mut_ptr()) };
    // SAFETY: a structure of numbers, zeroed and then written.
    (done == 0).then(|| unsafe { set.assume_init() })
}

fn has(set: &libc::sigset_t, signal: c_int) -> bool {
    // SAFETY: a set and a number.
    unsafe { libc::sigismember(std::ptr::from_ref(set), signal) == 1 }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, raise, sigaction};

    use super::*;
    use crate::sys::signal::is_blocked;

    #[test]
    fn what_came_for_a_script_is_dropped() {
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
