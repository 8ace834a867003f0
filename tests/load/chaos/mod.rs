//! Chaos: 20 pools of 10 users under load, while an administrator changes and reloads the configuration, processes
//! are killed and stopped at random, and the scripts of one user attack everybody else. Only requests inside killed
//! workers may fail.
//!
//! `make chaos T=600` runs it for 600 seconds, and `make chaos SEED=N` makes the same choices again. The threads
//! race, so the same seed does not give exactly the same run.

mod admin;
mod attacker;
mod clients;
mod journal;
mod killer;
mod reload;
mod verdict;
mod watch;
mod world;

use std::sync::atomic::Ordering;
use std::thread::{Scope, ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::clock::ms;
use testkit::target::Target;
use testkit::{Outcome, say, turn};

use admin::Admin;
use clients::Seen;
use verdict::Footprint;
use world::{Pool, World};

/// Clients of each pool.
const CLIENTS: usize = 2;

#[test]
fn only_requests_inside_killed_workers_fail() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::alone()?;
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let (time, seed) = (variable("CGI_FPM_CHAOS", 20), variable("CGI_FPM_SEED", clock));
    say(&format!("{time} s with the seed {seed}"));
    let (world, wanted) = World::start(target, seed)?;
    let before = Footprint::of(&world);
    let mut admin = Admin::new(&world, wanted);
    let result = run(&world, &mut admin, Duration::from_secs(time), before).and_then(|()| verdict::end(&world));
    say(&format!(
        "{} events, {} reloads, the longest in {:.1?}",
        world.journal.len(),
        admin.reloads.count,
        admin.reloads.slowest
    ));
    let Err(error) = result else { return world.server.stop() };
    let now = Instant::now();
    let from = now.checked_sub(Duration::from_secs(8)).unwrap_or(now);
    let kept = keep(&world);
    let events = world.journal.between(from, now);
    Err(format!("seed {seed}: {error}\nthe last events:\n{events}logs: {kept}").into())
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The server, the clients and everything that disturbs them.
fn run(world: &World, admin: &mut Admin<'_>, time: Duration, before: Footprint) -> Outcome {
    let (seen, rest) = scope(|scope| {
        let clients: Vec<_> =
            world.pools.iter().flat_map(|pool| (0..CLIENTS).map(move |number| (pool, number))).collect();
        let clients: Vec<_> = clients
            .into_iter()
            .map(|(pool, number)| scope.spawn(move || (pool, clients::visit(world, pool, number))))
            .collect();
        let rest = disturb(scope, world, admin, time, before);
        world.calm.store(true, Ordering::Relaxed);
        world.over.store(true, Ordering::Relaxed);
        let seen: Vec<(&Pool, Seen)> = clients.into_iter().filter_map(|client| client.join().ok()).collect();
        (seen, rest)
    });
    // Both, since one may explain the other.
    match (verdict::requests(world, seen), rest) {
        (Ok(()), rest) => rest.and_then(|()| verdict::logs(world)),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(other)) => Err(format!("{other}\n{error}").into()),
    }
}

fn disturb<'s>(
    scope: &'s Scope<'s, '_>,
    world: &'s World,
    admin: &mut Admin<'_>,
    time: Duration,
    before: Footprint,
) -> Outcome {
    sleep(ms(500));
    let watching = scope.spawn(|| watch::watch(world));
    let killing = scope.spawn(|| killer::kill(world));
    let attacking = scope.spawn(|| attacker::attack(world));
    let ending = scope.spawn(move || {
        world.sleep(time);
        world.calm.store(true, Ordering::Relaxed);
    });
    let administered = admin.work();
    world.calm.store(true, Ordering::Relaxed);
    joined(ending)?;
    joined(killing)?;
    let (attacked, watched) = (joined(attacking)?, joined(watching)?);
    administered.and(attacked)?;
    let watched = watched?;
    admin.finish()?;
    verdict::supervisor(world, before, &watched)
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> Outcome<T> {
    thread.join().map_err(|_| "a thread of the test panicked".into())
}

/// Copies all logs of the server to a directory that stays.
fn keep(world: &World) -> String {
    let kept = std::env::temp_dir().join(format!("cgi-fpm-chaos.{}", world.seed));
    let made = std::fs::create_dir_all(&kept);
    let copied = world
        .logs()
        .iter()
        .chain([&world.dir().join("fpm.conf")])
        .all(|path| path.file_name().is_some_and(|name| std::fs::copy(path, kept.join(name)).is_ok()));
    if made.is_ok() && copied { kept.display().to_string() } else { format!("cannot be kept in {}", kept.display()) }
}
