//! What must hold at the end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::load::percentile;
use testkit::log::Log;
use testkit::process;
use testkit::{Outcome, ensure, say};

use super::clients::Seen;
use super::journal::Lost;
use super::watch::Watched;
use super::world::{ATTACKER, OWNERS, Pool, World};

/// The supervisor's memory after the last reload, at most so much more than after the start.
const MEMORY_KB: u64 = 4096;
/// Its descriptors at any time, at most so many: two generations at least, and the pipes of workers.
const DESCRIPTORS: usize = 1024;

/// What the supervisor has after its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Footprint {
    fds: usize,
    memory_kb: u64,
}

impl Footprint {
    pub(super) fn of(world: &World) -> Self {
        let supervisor = world.server.supervisor;
        Self { fds: supervisor.fds().len(), memory_kb: supervisor.anonymous_kb() }
    }
}

/// All that the clients of others than the attacker saw, in one line; the failures that no event explains are an
/// error.
pub(super) fn requests(world: &World, seen: Vec<(&Pool, Seen)>) -> Outcome {
    let (mut waits, mut lost): (Vec<Duration>, Vec<Lost>) = (Vec::new(), Vec::new());
    let mut slow = Vec::new();
    for (pool, one) in seen {
        if pool.owner != ATTACKER {
            waits.extend(one.waits);
            let unexplained =
                |(since, end): &(Instant, Instant)| !world.journal.explains_wait(pool.owner, *since, *end);
            slow.extend(one.slow.into_iter().filter(unexplained).map(|times| (pool.name.clone(), times)));
        }
        lost.extend(one.lost);
    }
    waits.sort_unstable();
    let at = |share| percentile(&waits, share);
    let all = lost.len();
    lost.retain(|one| one.owner != ATTACKER);
    let (others, unexplained) = (lost.len(), world.journal.unexplained(lost));
    say(&format!(
        "{} requests answered, p50 {:.1?}, p99 {:.1?}, worst {:.1?}; {} lost by the attacker; {others} lost by others, {} of them inside killed processes",
        waits.len(),
        at(50),
        at(99),
        at(100),
        all - others,
        others - unexplained.len(),
    ));
    ensure!(!waits.is_empty(), "no request was answered");
    if unexplained.is_empty() {
        return slow.first().map_or(Ok(()), |(name, (since, end))| {
            let events = world.journal.between(*since - Duration::from_secs(3), *end);
            Err(format!(
                "{} requests waited without a cause, as for {name}: {:.1?}\n{events}",
                slow.len(),
                *end - *since
            )
            .into())
        });
    }
    let mut text = format!("{} requests failed without a cause:\n", unexplained.len());
    for one in unexplained.iter().take(10) {
        let (since, end) = (world.journal.second(one.since), world.journal.second(one.end));
        let _ = writeln!(text, "p{} from {since:.3} to {end:.3}: {}", one.pool, one.what);
    }
    let first = unexplained.first().map_or_else(Instant::now, |one| one.end);
    let from = first.checked_sub(Duration::from_secs(8)).unwrap_or(first);
    let _ = write!(text, "before the first one:\n{}", world.journal.between(from, first + ms(500)));
    Err(text.into())
}

/// The supervisor during and after it all.
pub(super) fn supervisor(world: &World, before: Footprint, watched: &Watched) -> Outcome {
    // Each user has one group, and more only if its pools have several uids or php.ini files.
    let most = OWNERS * 2;
    wait_until("the end of all former generations", bar(Duration::from_secs(30)), || {
        let zygotes = world.server.zygotes();
        zygotes.iter().filter(|zygote| zygote.title().starts_with("php-fpm: zygote ")).count() <= most
    })?;
    std::thread::sleep(ms(1500));
    let slow = watched.answers.last().copied().unwrap_or_default();
    let after = Footprint::of(world);
    say(&format!(
        "supervisor: {before:?}, then {after:?}, at most {} descriptors and {} kB; {} signals answered within {slow:.1?}, {} during reloads within {:.1?}",
        watched.fds,
        watched.memory_kb,
        watched.answers.len(),
        watched.in_reload.len(),
        watched.in_reload.last().copied().unwrap_or_default(),
    ));
    ensure!(watched.fds <= DESCRIPTORS, "{} descriptors", watched.fds);
    // Changes of users make up to one group more for each user.
    ensure!(after.fds <= before.fds * 2, "{before:?} has become {after:?}");
    ensure!(after.memory_kb <= before.memory_kb + MEMORY_KB, "{before:?} has become {after:?}");
    ensure!(slow <= bar(ms(100)), "a signal was answered after {slow:.1?}");
    Ok(())
}

/// SIGTERM ends the server, though the attacker has left stopped processes.
pub(super) fn end(world: &World) -> Outcome {
    let of_server = || world.server.remaining().into_iter().filter(|process| process.title().starts_with("php-fpm: "));
    world.server.supervisor.signal(Signal::SIGTERM);
    // Stopped processes get SIGKILL after process_control_timeout, which is ten seconds here, and their zygotes a second later.
    let ended = wait_until("the end of the server", bar(ms(15_000)), || of_server().next().is_none());
    let left: Vec<String> = of_server().map(|process| process.title()).collect();
    ended.map_err(|error| format!("{error}: there still are {left:?}"))?;
    process::end_all(|| world.server.remaining())
}

/// No log says that something broke.
pub(super) fn logs(world: &World) -> Outcome {
    let line = world.logs().iter().find_map(|path| Log::new(path).accusation());
    line.map_or(Ok(()), |line| Err(format!("the log says: {line}").into()))
}
