//! Signals: blocked and read from a descriptor where we manage, default or one flag where scripts run.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::getpid;

static QUIT: AtomicBool = AtomicBool::new(false);

/// The worker's own pid: a process that a script has forked has these handlers, too, and nothing else may have run in it yet.
static WORKER: AtomicI32 = AtomicI32::new(0);

/// The word in its scoreboard slot by which the supervisor says that its next SIGTERM ends the worker. What a handler is told of a
/// sender says nothing: PHP may call the handler later, when that has gone, and of two signals the kernel keeps the first.
static END: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

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

extern "C" fn do_nothing(_signal: libc::c_int) {}

/// Has one signal do nothing. Unlike an ignored one, a program that is started has its default action.
pub fn handle_by_nothing(signal: Signal) {
    handle(signal, SigHandler::Handler(do_nothing));
}

extern "C" fn note_quit(_signal: libc::c_int) {
    QUIT.store(true, Ordering::Relaxed);
}

/// SIGTERM and SIGINT where they ask to finish. Where the supervisor wants the worker's end they end, and processes that scripts have
/// forked end by them as any program does.
extern "C" fn finish(signal: libc::c_int) {
    if is_other_process() || is_end_wanted() {
        end_by(signal);
    } else {
        QUIT.store(true, Ordering::Relaxed);
    }
}

/// Signals that mean something to the supervisor and nothing to its workers.
extern "C" fn overhear(signal: libc::c_int) {
    if is_other_process() {
        end_by(signal);
    }
}

fn is_other_process() -> bool {
    WORKER.load(Ordering::Relaxed) != getpid().as_raw()
}

fn is_end_wanted() -> bool {
    // SAFETY: null, or a word that `in_worker` got for the rest of the process's life.
    let word = unsafe { END.load(Ordering::Relaxed).as_ref() };
    word.is_some_and(|word| word.load(Ordering::SeqCst) != 0)
}

/// Has the signal act as without a handler, once the handler that calls this returns.
fn end_by(signal: libc::c_int) {
    // SAFETY: signal() is async-signal-safe, and the default action runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: async-signal-safe. It acts at once or, where the signal is blocked until the handler returns, then.
    unsafe { libc::raise(signal) };
}

/// What signals mean to a worker from now on. SIGQUIT only asks: see `quit_asked`; with `graceful`, SIGTERM and SIGINT do
/// so too, unless `end` isn't 0. What means something to the supervisor alone is harmless, since signals may be
/// sent to all processes at once. System calls are restarted, but epoll_wait returns EINTR.
pub fn in_worker(end: &'static AtomicU64, graceful: bool) {
    WORKER.store(getpid().as_raw(), Ordering::Relaxed);
    END.store(std::ptr::from_ref(end).cast_mut(), Ordering::Relaxed);
    handle(Signal::SIGQUIT, SigHandler::Handler(note_quit));
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        handle(signal, SigHandler::Handler(overhear));
    }
    if graceful {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            handle(signal, SigHandler::Handler(finish));
        }
    }
}

fn handle(signal: Signal, handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handlers of this file store to and load from atomics and make async-signal-safe calls, nothing else.
    let _ = unsafe { sigaction(signal, &action) };
}

/// Whether a signal has asked this worker to leave since `in_worker`.
#[must_use]
pub fn quit_asked() -> bool {
    QUIT.load(Ordering::Relaxed)
}
