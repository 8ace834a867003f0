//! Kills and stops zygotes and workers.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::process::Process;
use testkit::random::Random;
use testkit::server::is_worker;

use super::journal::Cost;
use super::world::{World, owner_of};

/// After the death of its zygote a worker closes its kept connection, within a second after its request. The longest
/// request takes 1.2 s, or longer if the worker is stopped meanwhile.
const ORPHAN: Duration = Duration::from_secs(5);

/// A process that continues at that time.
type Stopped = (Instant, Process);

/// A process of the server, and what it is for.
#[derive(Debug, Clone, Copy)]
struct Target {
    process: Process,
    /// The number of the pool of a worker.
    pool: Option<usize>,
    owner: usize,
}

/// Until it is calm again.
pub(super) fn kill(world: &World) {
    let mut random = Random::of_thread(world.seed, 1);
    let mut stopped: Vec<Stopped> = Vec::new();
    while !world.is_calm() {
        world.sleep(random.ms(100, 600));
        let_continue(world, &mut stopped, Instant::now());
        let (workers, zygotes) = targets(world);
        match random.below(100) {
            0..45 => kill_workers(world, random.of(&workers)),
            45..62 => stop(world, &mut random, &workers, &mut stopped),
            62..78 => kill_zygote(world, random.of(&zygotes)),
            78..88 => stop(world, &mut random, &zygotes, &mut stopped),
            88..94 => kill_group(world, random.of(&zygotes), &workers),
            _ => kill_base(world, &mut random, &mut stopped),
        }
    }
    stopped.iter().for_each(|(_, process)| process.signal(Signal::SIGCONT));
    world.journal.note("calm: all processes continue".to_owned());
}

fn let_continue(world: &World, stopped: &mut Vec<Stopped>, now: Instant) {
    stopped.retain(|(until, process)| {
        if *until <= now {
            world.journal.note(format!("continue {}", process.pid));
            process.signal(Signal::SIGCONT);
        }
        *until > now
    });
}

fn targets(world: &World) -> (Vec<Target>, Vec<Target>) {
    let (mut workers, mut zygotes) = (Vec::new(), Vec::new());
    for process in world.server.supervisor.descendants() {
        let Some(owner) = uid(process).and_then(owner_of) else { continue };
        let title = process.title();
        if is_worker(process) {
            let name = title.rsplit(' ').next().unwrap_or_default();
            let pool = world.pools.iter().position(|pool| pool.name == name);
            workers.push(Target { process, pool, owner });
        } else if title.starts_with("php-fpm: zygote ") {
            zygotes.push(Target { process, pool: None, owner });
        }
    }
    (workers, zygotes)
}

fn kill_workers<'a>(world: &World, targets: impl IntoIterator<Item = &'a Target>) {
    for target in targets {
        if let Some(pool) = target.pool {
            let text = format!("SIGKILL worker {} of {}", target.process.pid, world.pools[pool].name);
            world.journal.cost(Cost::Worker(pool), text);
            target.process.signal(Signal::SIGKILL);
        }
    }
}

fn kill_zygote(world: &World, target: Option<&Target>) {
    let Some(target) = target else { return };
    let title = target.process.title();
    let text = format!("SIGKILL zygote {} ({title})", target.process.pid);
    world.journal.lasting(Cost::Idle(target.owner), ORPHAN, text);
    target.process.signal(Signal::SIGKILL);
}

/// The zygote with all its workers.
fn kill_group(world: &World, target: Option<&Target>, workers: &[Target]) {
    let Some(target) = target else { return };
    let pid = target.process.pid;
    let children: Vec<&Target> = workers.iter().filter(|worker| worker.process.parent() == pid).collect();
    kill_zygote(world, Some(target));
    kill_workers(world, children);
}

fn stop(world: &World, random: &mut Random, targets: &[Target], stopped: &mut Vec<Stopped>) {
    let Some(target) = random.of(targets) else { return };
    // The supervisor kills a zygote that does not answer for 10 s.
    let zygote = target.pool.is_none();
    let time = match zygote {
        true if random.percent(15) => random.ms(11_000, 13_000),
        true => random.ms(50, 2000),
        // A worker that is told to leave because it idles, and is stopped, is killed after 10 s.
        false => random.ms(50, 2000),
    };
    let text = format!("SIGSTOP {} ({}) for {time:?}", target.process.pid, target.process.title());
    let cost = if zygote { Cost::Idle(target.owner) } else { Cost::Time(target.owner) };
    world.journal.lasting(cost, time, text);
    target.process.signal(Signal::SIGSTOP);
    stopped.push((Instant::now() + time, target.process));
}

/// Ends all processes of a user, as root would after an attack.
pub(super) fn end_all_of(world: &World, owner: usize) {
    let processes = world.server.remaining().into_iter();
    let owned = processes.filter(|process| uid(*process).and_then(owner_of) == Some(owner));
    owned.for_each(|process| process.signal(Signal::SIGKILL));
}

fn uid(process: Process) -> Option<usize> {
    process.status("Uid").get(1)?.parse().ok()
}

/// A base zygote, if there is one.
fn kill_base(world: &World, random: &mut Random, stopped: &mut Vec<Stopped>) {
    let bases = world.server.bases();
    let Some(base) = random.of(&bases) else { return };
    let (signal, time) =
        if random.percent(60) { (Signal::SIGKILL, random.ms(0, 1)) } else { (Signal::SIGSTOP, random.ms(50, 13_000)) };
    world.journal.note(format!("{signal} base zygote {}", base.pid));
    base.signal(signal);
    stopped.push((Instant::now() + time, *base));
}
