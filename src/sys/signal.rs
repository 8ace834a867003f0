//! Signals: blocked and read from a descriptor where we manage, default or one flag where scripts run.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

static QUIT: AtomicBool = AtomicBool::new(false);

/// Blocks every signal and returns the mask there was.
///
/// # Errors
/// None in practice.
pub fn block_all() -> io::Result<SigSet> {
    let mut old = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut old))?;
    Ok(old)
}

/// Blocks every signal but one.
///
/// # Errors
/// None in practice.
pub fn block_all_but(one: Signal) -> io::Result<()> {
    let mut mask = SigSet::all();
    mask.remove(one);
    set_mask(&mask)
}

/// Whether this thread has that signal blocked.
#[must_use]
pub fn is_blocked(signal: Signal) -> bool {
    let mut mask = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, None, Some(&mut mask)).is_ok() && mask.contains(signal)
}

/// Sets the mask.
///
/// # Errors
/// None in practice.
pub fn set_mask(mask: &SigSet) -> io::Result<()> {
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), None)?;
    Ok(())
}

/// Blocks these and gives a non-blocking descriptor to read them from.
///
/// # Errors
/// `EMFILE`.
pub fn descriptor(signals: &[Signal]) -> io::Result<SignalFd> {
    let mask: SigSet = signals.iter().copied().collect();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&mask), None)?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Everything to its default action, as a program that starts expects it; SIGPIPE stays ignored as in php-fpm's workers.
pub fn reset_actions() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { sigaction(signal, &default) };
    }
    ignore(Signal::SIGPIPE);
}

/// Ignores one signal.
pub fn ignore(signal: Signal) {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: an ignored signal runs no code.
    let _ = unsafe { sigaction(signal, &action) };
}

extern "C" fn note_quit(_signal: libc::c_int) {
    QUIT.store(true, Ordering::Relaxed);
}

/// From now on SIGQUIT only asks: see `quit_asked`. System calls are restarted, but epoll_wait returns EINTR.
pub fn note_quits() {
    let action = SigAction::new(SigHandler::Handler(note_quit), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler stores to one atomic, which is async-signal-safe.
    let _ = unsafe { sigaction(Signal::SIGQUIT, &action) };
}

/// Whether SIGQUIT has come since `note_quits`.
#[must_use]
pub fn quit_asked() -> bool {
    QUIT.load(Ordering::Relaxed)
}
