//! The administrator: changes of the configuration, reloads of all kinds, broken files. After each
//! reload that is done, every pool has the configuration of the file.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::random::Random;
use testkit::{Outcome, ensure};

use super::clients::ask;
use super::reload::Reloads;
use super::world::{ATTACKER, Pool, Wanted, World};

/// What the administrator knows.
pub(super) struct Admin<'a> {
    world: &'a World,
    random: Random,
    /// The latest mark.
    count: u32,
    pub(super) reloads: Reloads<'a>,
}

impl<'a> Admin<'a> {
    pub(super) fn new(world: &'a World, wanted: Vec<Wanted>) -> Self {
        Self { world, random: Random::of_thread(world.seed, 3), count: 0, reloads: Reloads::new(world, wanted) }
    }

    /// Until it is calm again.
    pub(super) fn work(&mut self) -> Outcome {
        while !self.world.is_calm() {
            let pause = self.random.ms(100, 3000);
            self.world.sleep(pause);
            match self.random.below(100) {
                0..60 => self.change_and_reload()?,
                60..72 => self.storm()?,
                72..84 => self.broken_file()?,
                _ => self.broken_group()?,
            }
        }
        Ok(())
    }

    /// The last reload, with nothing going on: it must succeed.
    pub(super) fn finish(&mut self) -> Outcome {
        self.world.journal.note("the last reload".to_owned());
        self.change(3);
        self.reloads.reload(&[], None)?;
        self.reloads.check(|_| true)?;
        for pool in self.world.pools.iter().filter(|pool| pool.owner == ATTACKER) {
            self.reloads.recover(pool)?;
        }
        Ok(())
    }

    /// Changes some pools, which it returns.
    fn change(&mut self, most: usize) -> Vec<usize> {
        let mut changed = Vec::new();
        for _ in 0..=self.random.below(most) {
            let number = self.random.below(self.reloads.wanted.len());
            let pool = &self.world.pools[number];
            let wanted = &mut self.reloads.wanted[number];
            let what = match self.random.below(if pool.has_ini() { 6 } else { 4 }) {
                0 => {
                    wanted.second_uid = !wanted.second_uid;
                    "user"
                }
                1 => {
                    wanted.second_socket = !wanted.second_socket;
                    "listen"
                }
                2 | 3 => "mark",
                _ => {
                    for other in self.world.pools.iter().filter(|other| other.shares_ini(pool)) {
                        self.reloads.wanted[other.number].ini = self.count + 1;
                    }
                    "php.ini"
                }
            };
            self.count += 1;
            self.reloads.wanted[number].mark = self.count;
            self.world.journal.note(format!("change {what} of p{number}, mark {}", self.count));
            changed.push(number);
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    fn change_and_reload(&mut self) -> Outcome {
        let most = if self.random.percent(20) { 12 } else { 3 };
        let changed = self.change(most);
        match self.random.below(3) {
            0 => {
                // The other changes wait for a later reload.
                let owners: BTreeSet<usize> =
                    changed.iter().map(|number| number / 2).filter(|_| self.random.percent(70)).collect();
                // A php.ini may have changed both pools of a user, which are one group or two.
                let is_named = |pool: &&Pool| {
                    owners.contains(&pool.owner)
                        && self.reloads.wanted[pool.number] != self.reloads.serving[pool.number]
                };
                let names: Vec<String> =
                    self.world.pools.iter().filter(is_named).map(|pool| pool.name.clone()).collect();
                if names.is_empty() { Ok(()) } else { self.reloads.reload(&names, Some(&owners)) }
            }
            1 => self.reloads.reload(&["--changed".to_owned()], None),
            _ => self.reloads.reload(&[], None),
        }
    }

    /// Several SIGUSR2, and a reload that waits for the last one's end.
    fn storm(&mut self) -> Outcome {
        // The first SIGUSR2 already moves pools whose `listen` is to change.
        self.reloads.announce();
        for _ in 0..2 + self.random.below(3) {
            let number = self.random.below(self.reloads.wanted.len());
            self.count += 1;
            self.reloads.wanted[number].mark = self.count;
            self.world.write(&self.reloads.wanted)?;
            self.world.journal.note(format!("SIGUSR2, mark {} for p{number}", self.count));
            self.world.reloading.store(true, Ordering::Relaxed);
            self.world.server.supervisor.signal(Signal::SIGUSR2);
            sleep(self.random.ms(0, 400));
        }
        self.reloads.reload(&[], None)
    }

    /// A syntax error refuses the reload, and nothing changes.
    fn broken_file(&mut self) -> Outcome {
        let good = fs::read_to_string(self.world.dir().join("fpm.conf"))?;
        self.world.server.sandbox.put("fpm.conf", &format!("{good}\npm = bogus\n"))?;
        self.world.journal.note("a broken file".to_owned());
        let ended = self.reloads.command(&[])?;
        self.world.server.sandbox.put("fpm.conf", &good)?;
        ensure!(ended.status == Some(1), "status {:?} for a broken file: {}", ended.status, ended.text);
        ensure!(ended.text.contains("bogus") || ended.text.contains("'pm'"), "for a broken file: {}", ended.text);
        self.reloads.check(|_| true)
    }

    /// A pool whose group cannot start keeps what it had; the others get the new configuration.
    fn broken_group(&mut self) -> Outcome {
        let broken = self.random.below(ATTACKER * 2);
        let owner = broken / 2;
        self.change(3);
        // The last line counts. A log that cannot be opened refuses the whole reload, as with php-fpm.
        self.reloads.wanted[broken].more = "listen = /nonexistent/of/chaos.sock\n".to_owned();
        self.world.journal.note(format!("p{broken} is broken: {}", self.reloads.wanted[broken].more.trim()));
        self.world.write(&self.reloads.wanted)?;
        self.reloads.announce();
        let start = Instant::now();
        let ended = self.reloads.command(&[])?;
        self.reloads.wanted[broken].more.clear();
        ensure!(ended.status == Some(1), "status {:?} with a broken group: {}", ended.status, ended.text);
        ensure!(
            ended.text.contains(&format!("p{broken}")) || ended.text.contains(&format!("p{}", owner * 2)),
            "{}",
            ended.text
        );
        // A killed zygote may have made other groups fail, too.
        if !self.world.journal.since(start - Duration::from_secs(5), &["zygote"]) {
            for number in (0..self.reloads.wanted.len()).filter(|number| number / 2 != owner) {
                self.reloads.serving[number] = self.reloads.wanted[number].clone();
            }
            // The pools of the broken group's user may be one group or two.
            self.reloads.check(|pool| pool.owner != owner)?;
        }
        for pool in self.world.pools.iter().filter(|pool| pool.owner == owner) {
            let answered = (0..10).any(|_| ask(self.world, pool).is_ok());
            ensure!(answered, "{} does not answer, since a group of its user could not start", pool.name);
        }
        self.reloads.reload(&[], None)
    }
}
