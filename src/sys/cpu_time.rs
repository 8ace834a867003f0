//! CPU time of this process (getrusage(2)).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// CPU time of this process and of its children that have ended, in microseconds: user and system.
#[must_use]
pub fn times() -> (u64, u64) {
    // The times of a process are the sum of its threads', for which the kernel needs a lock and twice as long.
    let own = of(if has_one_thread() { UsageWho::RUSAGE_THREAD } else { UsageWho::RUSAGE_SELF });
    let children = of(UsageWho::RUSAGE_CHILDREN);
    (own.0 + children.0, own.1 + children.1)
}

fn of(who: UsageWho) -> (u64, u64) {
    let Ok(usage) = getrusage(who) else { return (0, 0) };
    let micros = |t: TimeVal| u64::try_from(t.num_microseconds()).unwrap_or(0);
    (micros(usage.user_time()), micros(usage.system_time()))
}

/// Whether no other thread was ever started, as far as libc knows (`__libc_single_threaded`, glibc 2.32). False if it does not tell.
fn has_one_thread() -> bool {
    static FLAG: OnceLock<Option<&'static AtomicU8>> = OnceLock::new();
    FLAG.get_or_init(find_flag).is_some_and(|flag| flag.load(Ordering::Relaxed) != 0)
}

fn find_flag() -> Option<&'static AtomicU8> {
    // SAFETY: a C string. The lookup runs no code of other libraries than the dynamic linker.
    let flag = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
    // SAFETY: null, or the address of libc's variable, which is one byte and lives as long as the process. libc writes it, also
    // while other threads read it.
    unsafe { flag.cast::<AtomicU8>().as_ref() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test harness has a thread of its own beside this one, so this looks at the times of the process.
    #[test]
    fn other_threads_count() {
        let before = times();
        let burned = std::thread::spawn(|| {
            let begin = of(UsageWho::RUSAGE_THREAD);
            while of(UsageWho::RUSAGE_THREAD).0 < begin.0 + 20_000 {}
        });
        assert!(!has_one_thread());
        assert!(burned.join().is_ok());
        assert!(times().0 >= before.0 + 15_000, "{before:?} {:?}", times());
    }

    #[test]
    fn libc_has_the_flag() {
        assert!(cfg!(not(target_env = "gnu")) || find_flag().is_some());
    }
}
