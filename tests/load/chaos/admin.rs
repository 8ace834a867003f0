//! The administrator: changes of the configuration, reloads of all kinds, broken files. After each
//! reload that is done, every pool has the configuration of the file.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::wait_until;
use testkit::process::Process;
use testkit::{Outcome, ensure};

use super::clients::{ask, ask_within};
use super::features::{Feature, supported};
use super::journal::Cost;
use super::killer::end_all_of;
use super::random::Random;
use super::world::{ATTACKER, Pool, Wanted, World};

/// `php-fpm reload` returns after 180 s without progress.
const RELOAD: Duration = Duration::from_secs(200);

/// What the administrator knows.
pub(super) struct Admin<'a> {
    world: &'a World,
    random: Random,
    /// What the file says.
    wanted: Vec<Wanted>,
    /// What each pool serves with.
    serving: Vec<Wanted>,
    count: u32,
    /// The events of the journal about changes of users that the next reload makes.
    moves: Vec<usize>,
    /// The longest reload.
    pub(super) slowest: Duration,
    /// The reloads that ended as they should.
    pub(super) reloads: u32,
}

/// How a command ended.
struct Ended {
    status: Option<i32>,
    text: String,
}

impl<'a> Admin<'a> {
    pub(super) fn new(world: &'a World, wanted: Vec<Wanted>) -> Self {
        let random = Random::of(world.seed, 3);
        Self {
            world,
            random,
            serving: wanted.clone(),
            wanted,
            count: 0,
            moves: Vec::new(),
            slowest: Duration::ZERO,
            reloads: 0,
        }
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
        self.reload(&[], None)?;
        self.check(|_| true)?;
        for pool in self.world.pools.iter().filter(|pool| pool.owner == ATTACKER) {
            self.recover(pool)?;
        }
        Ok(())
    }

    /// The attacker's pools serve again when his processes have been killed, and all requests that he has left in the
    /// queue.
    fn recover(&self, pool: &Pool) -> Outcome {
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

    /// Changes some pools, which it returns.
    fn change(&mut self, most: usize) -> Vec<usize> {
        let mut changed = Vec::new();
        for _ in 0..=self.random.below(most) {
            let number = self.random.below(self.wanted.len());
            let pool = &self.world.pools[number];
            let wanted = &mut self.wanted[number];
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
                        self.wanted[other.number].ini = self.count + 1;
                    }
                    "php.ini"
                }
            };
            self.count += 1;
            self.wanted[number].mark = self.count;
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
            0 if supported(Feature::ReloadNames) => {
                // The other changes wait for a later reload.
                let owners: BTreeSet<usize> =
                    changed.iter().map(|number| number / 2).filter(|_| self.random.percent(70)).collect();
                // A php.ini may have changed both pools of a user, which are one group or two.
                let is_named = |pool: &&Pool| {
                    owners.contains(&pool.owner) && self.wanted[pool.number] != self.serving[pool.number]
                };
                let names: Vec<String> =
                    self.world.pools.iter().filter(is_named).map(|pool| pool.name.clone()).collect();
                if names.is_empty() { Ok(()) } else { self.reload(&names, Some(&owners)) }
            }
            1 if supported(Feature::ReloadChanged) => self.reload(&["--changed".to_owned()], None),
            _ => self.reload(&[], None),
        }
    }

    /// Reloads with the file as wanted until it is done, all pools or those of some users, and checks all pools. A
    /// killed zygote may make a reload fail, so it is then tried again.
    fn reload(&mut self, words: &[String], owners: Option<&BTreeSet<usize>>) -> Outcome {
        self.world.write(&self.wanted)?;
        self.announce();
        for _ in 0..6 {
            let start = Instant::now();
            let ended = self.command(words)?;
            if ended.status == Some(0) {
                self.slowest = self.slowest.max(start.elapsed());
                self.reloads += 1;
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

    /// These pools, but for the attacker's, serve with the configuration that they should have.
    fn check(&self, of: impl Fn(&Pool) -> bool) -> Outcome {
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

    /// From now on clients try both sockets of a pool that moves, the former one first. Kept connections of a pool
    /// whose user changes end.
    fn announce(&mut self) {
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
        self.moves = moves;
    }

    /// Several SIGUSR2, and a reload that waits for the last one's end.
    fn storm(&mut self) -> Outcome {
        for _ in 0..2 + self.random.below(3) {
            let number = self.random.below(self.wanted.len());
            self.count += 1;
            self.wanted[number].mark = self.count;
            self.world.write(&self.wanted)?;
            self.world.journal.note(format!("SIGUSR2, mark {} for p{number}", self.count));
            self.world.reloading.store(true, Ordering::Relaxed);
            self.world.server.supervisor.signal(Signal::SIGUSR2);
            sleep(self.random.ms(0, 400));
        }
        self.reload(&[], None)
    }

    /// A syntax error refuses the reload, and nothing changes.
    fn broken_file(&mut self) -> Outcome {
        let good = fs::read_to_string(self.world.dir().join("fpm.conf"))?;
        self.world.server.sandbox.put("fpm.conf", &format!("{good}\npm = bogus\n"))?;
        self.world.journal.note("a broken file".to_owned());
        let ended = self.command(&[])?;
        self.world.server.sandbox.put("fpm.conf", &good)?;
        ensure!(ended.status == Some(1), "status {:?} for a broken file: {}", ended.status, ended.text);
        ensure!(ended.text.contains("bogus") || ended.text.contains("'pm'"), "for a broken file: {}", ended.text);
        self.check(|_| true)
    }

    /// A pool whose group cannot start keeps what it had; the others get the new configuration.
    fn broken_group(&mut self) -> Outcome {
        if !supported(Feature::BrokenGroup) {
            return Ok(());
        }
        let broken = self.random.below(ATTACKER * 2);
        let owner = broken / 2;
        self.change(3);
        // The last line counts. A log that cannot be opened refuses the whole reload, as with php-fpm.
        self.wanted[broken].more = "listen = /nonexistent/of/chaos.sock\n".to_owned();
        self.world.journal.note(format!("p{broken} is broken: {}", self.wanted[broken].more.trim()));
        self.world.write(&self.wanted)?;
        self.announce();
        let start = Instant::now();
        let ended = self.command(&[])?;
        self.wanted[broken].more.clear();
        ensure!(ended.status == Some(1), "status {:?} with a broken group: {}", ended.status, ended.text);
        ensure!(
            ended.text.contains(&format!("p{broken}")) || ended.text.contains(&format!("p{}", owner * 2)),
            "{}",
            ended.text
        );
        // A killed zygote may have made other groups fail, too.
        if !self.world.journal.since(start - Duration::from_secs(5), &["zygote"]) {
            for number in (0..self.wanted.len()).filter(|number| number / 2 != owner) {
                self.serving[number] = self.wanted[number].clone();
            }
            // The pools of the broken group's user may be one group or two.
            self.check(|pool| pool.owner != owner)?;
        }
        for pool in self.world.pools.iter().filter(|pool| pool.owner == owner) {
            let answered = (0..10).any(|_| ask(self.world, pool).is_ok());
            ensure!(answered, "{} does not answer, since a group of its user could not start", pool.name);
        }
        self.reload(&[], None)
    }

    fn command(&mut self, words: &[String]) -> Outcome<Ended> {
        self.world.journal.note(format!("php-fpm reload {}", words.join(" ")));
        let start = Instant::now();
        self.world.reloading.store(true, Ordering::Relaxed);
        let ended = command(self.world, words)?;
        self.world.reloading.store(false, Ordering::Relaxed);
        if ended.status == Some(0) {
            // A worker closes its connection after its last request.
            self.moves.drain(..).for_each(|number| self.world.journal.ends(number, Duration::from_secs(5)));
        }
        let text = format!("reload ended with {:?} after {:.1?}: {}", ended.status, start.elapsed(), ended.text.trim());
        self.world.journal.note(text);
        Ok(ended)
    }
}

fn command(world: &World, words: &[String]) -> Outcome<Ended> {
    let dir = world.dir();
    let mut command = Command::new(world.target.program());
    command.arg("reload").args(words).arg("-y").arg(dir.join("fpm.conf")).arg("-c").arg(dir.join("php.ini"));
    command.envs(world.target.environment()).current_dir(dir).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let pid = i32::try_from(child.id())?;
    let output = std::thread::spawn(move || child.wait_with_output());
    let ended = wait_until("the end of php-fpm reload", RELOAD, || output.is_finished());
    if ended.is_err() {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
    }
    let output = output.join().map_err(|_| "waiting panicked")??;
    ended?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok(Ended { status: output.status.code(), text })
}
