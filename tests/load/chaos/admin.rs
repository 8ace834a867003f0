//! The administrator: changes of the configuration, reloads of all kinds, broken files. After each
//! reload that is done, every pool has the configuration of the file.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::wait_until;
use testkit::process::Process;
use testkit::{Outcome, ensure};

use super::clients::ask;
use super::features::{Feature, supported};
use super::journal::Cost;
use super::random::Random;
use super::world::{ATTACKER, Wanted, World};

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
        Self { world, random, serving: wanted.clone(), wanted, count: 0, slowest: Duration::ZERO, reloads: 0 }
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
        self.reload(&[])?;
        for pool in &self.world.pools {
            let (told, expected) = (ask(self.world, pool)?, pool.expected(&self.wanted[pool.number]));
            ensure!(told.text == expected, "at the end {} serves {} in place of {expected}", pool.name, told.text);
        }
        Ok(())
    }

    /// Changes some pools, which it returns.
    fn change(&mut self, most: usize) -> Vec<usize> {
        let mut changed = Vec::new();
        for _ in 0..=self.random.below(most) {
            let number = self.random.below(self.wanted.len());
            let wanted = &mut self.wanted[number];
            let what = match self.random.below(if supported(Feature::PhpIni) { 5 } else { 4 }) {
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
                    wanted.ini = self.count + 1;
                    "php.ini"
                }
            };
            self.count += 1;
            wanted.mark = self.count;
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
        let names: Vec<String> = changed.iter().map(|number| format!("p{number}")).collect();
        let words: Vec<&str> = match self.random.below(3) {
            0 if supported(Feature::ReloadNames) => names.iter().map(String::as_str).collect(),
            1 if supported(Feature::ReloadChanged) => vec!["--changed"],
            _ => Vec::new(),
        };
        self.reload(&words)
    }

    /// Reloads with the file as wanted until it is done, and checks all pools. A killed zygote may make a reload
    /// fail, so it is then tried again.
    fn reload(&mut self, words: &[&str]) -> Outcome {
        self.world.write(&self.wanted)?;
        self.announce();
        for _ in 0..6 {
            let start = Instant::now();
            let ended = self.command(words)?;
            if ended.status == Some(0) {
                return self.settled(start);
            }
            let harmed = self.world.journal.since(start - Duration::from_secs(5), &["zygote"]);
            ensure!(harmed, "a reload failed though nothing was done to a zygote: {}", ended.text);
        }
        Err("six reloads failed".into())
    }

    /// All pools have the configuration wanted.
    fn settled(&mut self, start: Instant) -> Outcome {
        self.slowest = self.slowest.max(start.elapsed());
        self.reloads += 1;
        for pool in &self.world.pools {
            pool.set_addresses(vec![pool.socket(self.world.dir(), &self.wanted[pool.number])]);
        }
        self.serving.clone_from(&self.wanted);
        self.check()
    }

    /// Every pool, but for the attacker's, serves with the configuration that it should have.
    fn check(&self) -> Outcome {
        for pool in self.world.pools.iter().filter(|pool| pool.owner != ATTACKER) {
            let expected = pool.expected(&self.serving[pool.number]);
            // A worker may be killed while it answers.
            let mut answer = ask(self.world, pool);
            for _ in 0..10 {
                if answer.is_ok() {
                    break;
                }
                answer = ask(self.world, pool);
            }
            let told = answer.map_err(|error| format!("{}: {error}", pool.name))?;
            if told.text != expected {
                let zygote = Process::find(told.pid).and_then(|worker| Process::find(worker.parent()));
                let parent = zygote.map(|zygote| (zygote.pid, zygote.title()));
                let again = ask(self.world, pool).map(|told| told.text);
                return Err(format!(
                    "{} serves {} in place of {expected}, by worker {} of {parent:?}; then {again:?}",
                    pool.name, told.text, told.pid
                )
                .into());
            }
        }
        Ok(())
    }

    /// From now on clients try both sockets of a pool that moves, the former one first. Kept connections of a pool
    /// whose user changes end.
    fn announce(&self) {
        for pool in &self.world.pools {
            let [now, next] = [&self.serving, &self.wanted].map(|all| &all[pool.number]);
            let mut both = vec![pool.socket(self.world.dir(), now)];
            if now.second_socket != next.second_socket {
                both.push(pool.socket(self.world.dir(), next));
            }
            pool.set_addresses(both);
            if now.second_uid != next.second_uid {
                let text = format!("the user of {} changes", pool.name);
                self.world.journal.lasting(Cost::Idle(pool.owner), RELOAD, text);
            }
        }
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
        self.reload(&[])
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
        self.check()
    }

    /// A pool whose group cannot start keeps what it had; the others get the new configuration.
    fn broken_group(&mut self) -> Outcome {
        if !supported(Feature::BrokenGroup) {
            return Ok(());
        }
        let broken = self.random.below(ATTACKER * 2);
        let changed = self.change(3);
        let harm = ["chroot = /nonexistent/of/chaos\n", "access.log = /nonexistent/of/chaos/log\n"];
        self.wanted[broken].more = self.random.of_these(&harm).copied().unwrap_or_default().to_owned();
        self.world.journal.note(format!("p{broken} is broken: {:?}", self.wanted[broken].more.trim()));
        self.world.write(&self.wanted)?;
        self.announce();
        let ended = self.command(&[])?;
        self.wanted[broken].more.clear();
        ensure!(ended.status == Some(1), "status {:?} with a broken group: {}", ended.status, ended.text);
        // The next reload decides what the pools of the broken group serve with.
        let owner = self.world.pools[broken].owner;
        for pool in self.world.pools.iter().filter(|pool| pool.owner == owner || pool.owner == ATTACKER) {
            ask(self.world, pool).ok();
        }
        let _ = changed;
        self.reload(&[])
    }

    fn command(&mut self, words: &[&str]) -> Outcome<Ended> {
        self.world.journal.note(format!("php-fpm reload {}", words.join(" ")));
        let start = Instant::now();
        self.world.reloading.store(true, Ordering::Relaxed);
        let ended = command(self.world, words)?;
        self.world.reloading.store(false, Ordering::Relaxed);
        let text = format!("reload ended with {:?} after {:.1?}: {}", ended.status, start.elapsed(), ended.text.trim());
        self.world.journal.note(text);
        Ok(ended)
    }
}

fn command(world: &World, words: &[&str]) -> Outcome<Ended> {
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
