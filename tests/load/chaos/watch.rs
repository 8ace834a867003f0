//! Watches the supervisor: it stays, it answers signals, also those that rotate the log, and its descriptors and memory stay bounded.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use testkit::clock::ms;
use testkit::random::Random;
use testkit::{Outcome, ensure};

use super::world::World;

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// The times until a signal was answered, without the delays of the machine.
    pub(super) answers: Vec<Duration>,
    /// The same while a reload was under way, which replaces the supervisor's program.
    pub(super) in_reload: Vec<Duration>,
    /// The most descriptors at a time.
    pub(super) fds: usize,
    /// The most memory of its own.
    pub(super) memory_kb: u64,
}

/// Until it is calm again.
pub(super) fn watch(world: &World) -> Outcome<Watched> {
    let mut random = Random::of_thread(world.seed, 4);
    let mut watched = Watched::default();
    while !world.is_calm() {
        world.sleep(random.ms(200, 1000));
        let supervisor = world.server.supervisor;
        ensure!(supervisor.lives(), "the supervisor has gone");
        watched.fds = watched.fds.max(supervisor.fds().len());
        watched.memory_kb = watched.memory_kb.max(supervisor.anonymous_kb());
        let count = watched.answers.len() + watched.in_reload.len();
        let reloading = || world.reloading.load(Ordering::Relaxed);
        let (before, delay) = (reloading(), Delay::measure());
        let took = answer(world, count)?;
        let took = took.saturating_sub(delay.longest() * HOPS);
        if took > ms(100) {
            world.journal.note(format!("SIGUSR1 was answered after {took:.1?}"));
        }
        if before || reloading() { watched.in_reload.push(took) } else { watched.answers.push(took) }
    }
    watched.answers.sort_unstable();
    watched.in_reload.sort_unstable();
    Ok(watched)
}

/// The supervisor, this test and the log wait for a core each.
const HOPS: u32 = 3;

/// How long a thread that only sleeps is kept waiting by the machine.
struct Delay {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Delay {
    fn measure() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !ended.load(Ordering::Relaxed) {
                let start = Instant::now();
                std::thread::sleep(ms(2));
                longest = longest.max(start.elapsed().saturating_sub(ms(2)));
            }
            longest
        });
        Self { over, thread }
    }

    fn longest(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// SIGUSR1, until the log says that it is open again. Every third time the log is rotated.
fn answer(world: &World, count: usize) -> Outcome<Duration> {
    if count.is_multiple_of(3) {
        fs::rename(world.dir().join("fpm.log"), world.dir().join(format!("fpm.log.{count:04}")))?;
        world.journal.note("the log is rotated".to_owned());
    }
    world.server.hears(Duration::from_secs(30))
}
