//! Signals. The supervisor and the zygotes block them and read them from a descriptor (signalfd(2)). In a worker they have their
//! default action or a handler that sets a flag.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{alarm, getpid};

use super::orphan;

static QUIT: AtomicBool = AtomicBool::new(false);

/// The worker's pid. A process that a script forks inherits the handlers, and they may run before anything else does in it.
static WORKER: AtomicI32 = AtomicI32::new(0);

/// The word in the worker's scoreboard slot that the supervisor sets before a SIGTERM that is to end the worker. The sender of a
/// signal does not tell that: PHP may call the handler later, and of two pending signals the kernel keeps the first.
static END: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

/// Blocks all signals and returns the former mask (pthread_sigmask(3)).
///
/// # Errors
/// None in practice.
pub fn block_all() -> io::Result<SigSet> {
    let mut old = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut old))?;
    Ok(old)
}

/// Blocks all signals but one.
///
/// # Errors
/// None in practice.
pub fn block_all_but(one: Signal) -> io::Result<()> {
    let mut mask = SigSet::all();
    mask.remove(one);
    set_mask(&mask)
}

/// Whether this thread blocks that signal.
#[must_use]
pub fn is_blocked(signal: Signal) -> bool {
    let mut mask = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, None, Some(&mut mask)).is_ok() && mask.contains(signal)
}

/// Sets the signal mask of this thread.
///
/// # Errors
/// None in practice.
pub fn set_mask(mask: &SigSet) -> io::Result<()> {
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), None)?;
    Ok(())
}

/// A signal to the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// One with a name.
    Named(Signal),
    /// SIGRTMIN+1: a control command has written a request. It is none of the named ones, since two of the same kind become one.
    Request,
}

impl Heard {
    /// Its number.
    #[must_use]
    pub fn number(self) -> libc::c_int {
        match self {
            Self::Named(signal) => signal as libc::c_int,
            Self::Request => libc::SIGRTMIN() + 1,
        }
    }

    /// The signal of that number, if it is one of these.
    #[must_use]
    pub fn of_number(number: u32) -> Option<Self> {
        let number = i32::try_from(number).ok()?;
        if number == Self::Request.number() {
            return Some(Self::Request);
        }
        Signal::try_from(number).ok().map(Self::Named)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Named(signal) => signal.as_str(),
            Self::Request => "SIGRTMIN+1",
        }
    }
}

/// Blocks these signals, and that of a request, and gives a non-blocking descriptor to read them from (signalfd(2), `SFD_CLOEXEC`,
/// `SFD_NONBLOCK`).
///
/// # Errors
/// `EMFILE`.
pub fn supervisor_descriptor(signals: &[Signal]) -> io::Result<SignalFd> {
    let named: SigSet = signals.iter().copied().collect();
    let mut mask = *named.as_ref();
    // SAFETY: `mask` is a copy of an initialised set, and the call only sets a bit in it.
    unsafe { libc::sigaddset(&raw mut mask, Heard::Request.number()) };
    // SAFETY: `mask` is an initialised set with one more signal that exists.
    let mask = unsafe { SigSet::from_sigset_t_unchecked(mask) };
    blocked_descriptor(&mask)
}

/// Blocks these signals and gives a non-blocking descriptor to read them from (signalfd(2), `SFD_CLOEXEC`, `SFD_NONBLOCK`).
///
/// # Errors
/// `EMFILE`.
pub fn descriptor(signals: &[Signal]) -> io::Result<SignalFd> {
    blocked_descriptor(&signals.iter().copied().collect())
}

fn blocked_descriptor(mask: &SigSet) -> io::Result<SignalFd> {
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(mask), None)?;
    Ok(SignalFd::with_flags(mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Sets all signals to their default action, as a program expects them at its start. SIGPIPE is ignored, as in php-fpm's workers.
pub fn reset_actions() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action runs no code of this process.
        let _ = unsafe { sigaction(signal, &default) };
    }
    ignore(Signal::SIGPIPE);
}

/// Has SIGALRM end this process after that time (alarm(2), in whole seconds), also where it waits in a call.
///
/// # Errors
/// None in practice.
pub fn end_after(limit: Duration) -> io::Result<()> {
    alarm::set(u32::try_from(limit.as_secs()).unwrap_or(u32::MAX).max(1));
    block_all_but(Signal::SIGALRM)
}

/// Ignores one signal.
pub fn ignore(signal: Signal) {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: SIG_IGN runs no code of this process.
    let _ = unsafe { sigaction(signal, &action) };
}

extern "C" fn do_nothing(_signal: libc::c_int) {}

/// Gives one signal a handler that does nothing. Unlike `SIG_IGN`, an exec resets it to the default action.
pub fn handle_by_nothing(signal: Signal) {
    handle(signal, SigHandler::Handler(do_nothing));
}

extern "C" fn note_quit(_signal: libc::c_int) {
    QUIT.store(true, Ordering::Relaxed);
    if !is_other_process() {
        orphan::end_waiting();
    }
}

/// The handler of SIGTERM and SIGINT in a graceful worker: it asks the worker to finish its request. If the supervisor has set
/// `END`, or if this is a process that a script has forked, the signal ends the process.
extern "C" fn finish(signal: libc::c_int) {
    if is_other_process() || is_end_wanted() {
        end_by(signal);
    } else {
        QUIT.store(true, Ordering::Relaxed);
    }
}

/// The handler of signals that are for the supervisor: a worker ignores them, and a process that a script has forked ends by them.
extern "C" fn overhear(signal: libc::c_int) {
    if is_other_process() {
        end_by(signal);
    }
}

fn is_other_process() -> bool {
    WORKER.load(Ordering::Relaxed) != getpid().as_raw()
}

fn is_end_wanted() -> bool {
    // SAFETY: null, or the address of a `&'static` word that `in_worker` got.
    let word = unsafe { END.load(Ordering::Relaxed).as_ref() };
    word.is_some_and(|word| word.load(Ordering::SeqCst) != 0)
}

/// Ends the process by this signal's default action, once the handler that calls this returns.
fn end_by(signal: libc::c_int) {
    // SAFETY: signal() is async-signal-safe, and the default action runs no code of this process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: raise() is async-signal-safe. The signal takes effect at once, or, where it is blocked in its handler, when that
    // returns.
    unsafe { libc::raise(signal) };
}

/// Installs a worker's handlers. SIGQUIT asks the worker to leave (`quit_asked`). With `graceful`, SIGTERM and SIGINT do so too,
/// unless `end` is not
/// 0. SIGHUP, SIGUSR1 and SIGUSR2 are for the supervisor and do nothing here, since signals may be sent to all processes at once.
/// System calls are restarted (`SA_RESTART`), but epoll_wait returns `EINTR`.
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
    // SAFETY: only this file's handlers are passed. They use atomics and async-signal-safe calls, nothing else.
    let _ = unsafe { sigaction(signal, &action) };
}

/// The worker is inside a request from now on: if its parent ends, its idle connections end (`orphan`).
pub fn begin_request() {
    orphan::set_inside_request(true);
    // The signal may have come just before.
    if quit_asked() {
        orphan::end_waiting();
    }
}

/// The worker is between two requests from now on.
pub fn end_request() {
    orphan::set_inside_request(false);
}

/// Whether a signal has asked this worker to leave since `in_worker`.
#[must_use]
pub fn quit_asked() -> bool {
    QUIT.load(Ordering::Relaxed)
}
