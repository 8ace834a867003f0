//! A reload, from the file to the check that every pool has the configuration that it should have.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use testkit::process::Process;
use testkit::stage::{Ran, command_in, end_within};
use testkit::{Outcome, ensure};

use super::clients::{ask, ask_within};
use super::journal::Cost;
use super::killer::end_all_of;
use super::world::{ATTACKER, Pool, Wanted, World};

/// `php-fpm reload` returns after 180 s without progress.
const RELOAD: Duration = Duration::from_secs(200);

/// The configuration and its reloads.
pub(super) struct Reloads<'a> {
    world: &'a World,
    /// What the file says.
    pub(super) wanted: Vec<Wanted>,
    /// What each pool serves with.
    pub(super) serving: Vec<Wanted>,
    /// The events of the journal about changes of users that the next reload makes.
    moves: Vec<usize>,
    /// The longest reload.
    pub(super) slowest: Duration,
    /// The reloads that ended as they should.
    pub(super) count: u32,
}

impl<'a> Reloads<'a> {
    pub(super) fn new(world: &'a World, wanted: Vec<Wanted>) -> Self {
        Self { world, serving: wanted.clone(), wanted, moves: Vec::new(), slowest: Duration::ZERO, count: 0 }
    }

    /// Reloads with the file as wanted until it is done, all pools or those of some users, and checks all pools. A
    /// killed zygote may make a reload fail, so it is then tried again.
    pub(super) fn reload(&mut self, words: &[String], owners: Option<&BTreeSet<usize>>) -> Outcome {
        self.world.write(&self.wanted)?;
        self.announce();
        for _ in 0..6 {
            let start = Instant::now();
            let ended = self.command(words)?;
            if ended.status == Some(0) {
                self.slowest = self.slowest.max(start.elapsed());
                self.count += 1;
                return self.settled(owners);
            }
            let harmed = self.world.journal.since(start - Duration::from_secs(5), &["zygote"]);
            ensure!(harmed, "a reload failed though nothing was done to a zygote: {}", ended.text);
        }
        Err("six reloads failed".into())
    }

    /// All pools of these users have the configuration wanted, and the others the former one.
    fn settled(&mut self, owners: Option<&BTreeSet<usize>>) -> Outcome {
        for pool in &self.world.pools {
            if owners.is_none_or(|owners| owners.contains(&pool.owner)) {
                self.serving[pool.number] = self.wanted[pool.number].clone();
            }
            pool.set_addresses(vec![pool.socket(self.world.dir(), &self.serving[pool.number])]);
        }
        self.check(|_| true)
    }

    /// From now on clients try both sockets of a pool that moves, the former one first. Kept connections of a pool
    /// whose user changes end.
    pub(super) fn announce(&mut self) {
        let mut moves = Vec::new();
        for pool in &self.world.pools {
            let [now, next] = [&self.serving, &self.wanted].map(|all| &all[pool.number]);
            let mut both = vec![pool.socket(self.world.dir(), now)];
            if now.second_socket != next.second_socket {
                both.push(pool.socket(self.world.dir(), next));
            }
            pool.set_addresses(both);
            if now.second_uid != next.second_uid {
                let text = format!("the user of {} changes", pool.name);
                moves.push(self.world.journal.lasting(Cost::Idle(pool.owner), RELOAD, text));
            }
        }
        self.moves.append(&mut moves);
    }

    pub(super) fn command(&mut self, words: &[String]) -> Outcome<Ran> {
        self.world.journal.note(format!("php-fpm reload {}", words.join(" ")));
        let start = Instant::now();
        self.world.reloading.store(true, Ordering::Relaxed);
        let mut command = command_in(&self.world.target, &self.world.server.sandbox, &["reload"]);
        let ended = end_within(command.args(words), RELOAD)?;
        self.world.reloading.store(false, Ordering::Relaxed);
        if ended.status == Some(0) {
            // A worker closes its connection after its last request.
            self.moves.drain(..).for_each(|number| self.world.journal.ends(number, Duration::from_secs(5)));
        }
        let text = format!("reload ended with {:?} after {:.1?}: {}", ended.status, start.elapsed(), ended.text.trim());
        self.world.journal.note(text);
        Ok(ended)
    }

    /// These pools, but for the attacker's, serve with the configuration that they should have.
    pub(super) fn check(&self, of: impl Fn(&Pool) -> bool) -> Outcome {
        for pool in self.world.pools.iter().filter(|pool| pool.owner != ATTACKER && of(pool)) {
            self.check_one(pool)?;
        }
        Ok(())
    }

    fn check_one(&self, pool: &Pool) -> Outcome {
        let serving = &self.serving[pool.number];
        // A new zygote may read a php.ini that was written for a later reload.
        let newer = Wanted { ini: self.wanted[pool.number].ini, ..serving.clone() };
        let expected = [pool.expected(serving), pool.expected(&newer)];
        // A worker may be killed while it answers.
        let mut answer = ask(self.world, pool);
        for _ in 0..10 {
            if answer.is_ok() {
                break;
            }
            answer = ask(self.world, pool);
        }
        let told = answer.map_err(|error| format!("{}: {error}", pool.name))?;
        if expected.contains(&told.text) {
            return Ok(());
        }
        let zygote = Process::find(told.pid).and_then(|worker| Process::find(worker.parent()));
        let parent = zygote.map(|zygote| (zygote.pid, zygote.title()));
        let again = ask(self.world, pool).map(|told| told.text);
        Err(format!(
            "{} serves {} in place of {expected:?}, by worker {} of {parent:?}; then {again:?}",
            pool.name, told.text, told.pid
        )
        .into())
    }

    /// The attacker's pools serve again when his processes have been killed, and all requests that he has left in the
    /// queue.
    pub(super) fn recover(&self, pool: &Pool) -> Outcome {
        let mut told = ask_within(self.world, pool, Duration::from_secs(2));
        for _ in 0..30 {
            if told.is_ok() {
                break;
            }
            self.world.journal.note(format!("all processes of {} are killed", pool.name));
            end_all_of(self.world, pool.owner);
            told = ask_within(self.world, pool, Duration::from_secs(2));
        }
        let (told, expected) =
            (told.map_err(|error| format!("{}: {error}", pool.name))?, pool.expected(&self.wanted[pool.number]));
        ensure!(told.text == expected, "at the end {} serves {} in place of {expected}", pool.name, told.text);
        Ok(())
    }
}
