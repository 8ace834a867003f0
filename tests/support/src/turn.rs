//! Takes turns: tests that measure time or load the machine run alone, also across processes. Other programs on the
//! machine cannot be excluded; the time that they keep a thread waiting is measured, and added to the limits.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock::{bar, ms};
use crate::{Outcome, ensure};

/// A request passes three processes at least, each of which may have to wait for a core.
const HOPS: u32 = 3;

/// Held while a test runs.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

/// A turn alone, and how busy the machine was with other work.
#[derive(Debug)]
pub struct Alone {
    _turn: Turn,
    stop: Arc<AtomicBool>,
    /// The longest delay of a thread that only sleeps, in microseconds.
    worst: Arc<AtomicU64>,
    watch: Option<JoinHandle<()>>,
}

/// A turn together with others that do not measure.
///
/// # Errors
/// When the lock file can't be opened.
pub fn shared() -> Outcome<Turn> {
    let lock = open()?;
    lock.lock_shared()?;
    Ok(Turn { _lock: lock })
}

/// A turn alone.
///
/// # Errors
/// When the lock file can't be opened.
pub fn alone() -> Outcome<Alone> {
    let lock = open()?;
    lock.lock()?;
    let (stop, worst) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let watch = {
        let (stop, worst) = (Arc::clone(&stop), Arc::clone(&worst));
        std::thread::spawn(move || watch(&stop, &worst))
    };
    Ok(Alone { _turn: Turn { _lock: lock }, stop, worst, watch: Some(watch) })
}

impl Alone {
    /// Whether something that took that long kept the limit.
    ///
    /// # Errors
    /// If it took longer, by more than the delay that the machine itself caused.
    pub fn expect_within(&self, what: &str, took: Duration, limit: Duration) -> Outcome {
        let machine = Duration::from_micros(self.worst.load(Ordering::Relaxed));
        let allowed = bar(limit) + machine * HOPS;
        ensure!(
            took <= allowed,
            "{what}: {took:.1?} in place of {limit:?} (the machine kept a sleeper waiting {machine:.1?})"
        );
        Ok(())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
    }
}

fn watch(stop: &AtomicBool, worst: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        std::thread::sleep(ms(2));
        let late = start.elapsed().saturating_sub(ms(2)).as_micros();
        worst.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn open() -> Outcome<File> {
    let path = std::env::temp_dir().join(format!("cgi-fpm-tests.{}.lock", nix::unistd::getuid()));
    Ok(File::options().create(true).truncate(false).write(true).open(path)?)
}
