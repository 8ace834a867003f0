//! The control script: what each command does, prints and returns, and that it returns only when the result is in
//! effect.
#![forbid(unsafe_code)]

use std::fs;
use std::process::Command;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::log::Log;
use testkit::process::{self, Process};
use testkit::stage::{Ran, Stage, run_to_end};
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, say, skip, turn};

/// A stage whose daemon ends with the test.
pub(crate) struct Place(pub(crate) Stage);

impl Place {
    pub(crate) fn new(target: Target) -> Outcome<Self> {
        Ok(Self(Stage::new(target, 2)?))
    }

    pub(crate) fn run(&self, words: &[&str]) -> Outcome<Ran> {
        self.0.run(words)
    }

    pub(crate) fn supervisor(&self) -> Option<Process> {
        let file = self.0.sandbox.file("fpm.pid");
        // A FIFO would have to be waited for.
        let text = fs::metadata(&file).ok().filter(fs::Metadata::is_file).and_then(|_| fs::read_to_string(&file).ok());
        Process::find(text?.trim().parse().ok()?)
    }

    pub(crate) fn put_conf(&self, change: &[(&str, &str)]) -> Outcome {
        let conf = change.iter().fold(self.0.conf.clone(), |conf, (from, to)| conf.replace(from, to));
        self.0.sandbox.put("fpm.conf", &conf)
    }

    pub(crate) fn ask(&self, page: &str, query: &str) -> Outcome<String> {
        ask(&self.0, page, query)
    }

    /// In the background.
    fn ask_later(&self, page: &str, query: &str) -> JoinHandle<Outcome<String>> {
        let request = Request::get(&self.0.sandbox.page(page)).param("QUERY_STRING", query);
        let address = self.0.address.clone();
        spawn(move || ask_once(&address, &request, ms(10_000)))
    }

    pub(crate) fn log(&self) -> Log {
        Log::new(&self.0.sandbox.file("fpm.log"))
    }
}

fn ask(stage: &Stage, page: &str, query: &str) -> Outcome<String> {
    ask_once(&stage.address, &Request::get(&stage.sandbox.page(page)).param("QUERY_STRING", query), ms(5000))
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(daemon) = self.supervisor().filter(|daemon| daemon.title().starts_with("php-fpm: master")) {
            let tree = daemon.tree();
            let _ = process::end_all(|| tree.clone());
        }
    }
}

#[test]
fn a_life() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    place.run(&["status"])?.expect(3, &["php-fpm is stopped\n"])?;
    place.run(&["stop"])?.expect(0, &["php-fpm is not running\n"])?;
    // It returns although the configuration asks for the foreground, and by then all pools accept.
    place.put_conf(&[("[global]", "[global]\ndaemonize = no")])?;
    place.run(&["start"])?.expect(0, &["Starting php-fpm ", " done\n"])?;
    ensure!(place.ask("hello.php", "")? == "hello", "another page");
    let pid = place.supervisor().ok_or("no pid file")?.pid;
    place.run(&["status"])?.expect(0, &[&format!("php-fpm is running, pid {pid}\n")])?;
    place.run(&["start"])?.expect(0, &[&format!("running already, pid {pid}")])?;
    place.run(&["restart"])?.expect(0, &["Shutting down php-fpm ", " done\n", "Starting php-fpm "])?;
    let next = place.supervisor().ok_or("no pid file after restart")?;
    ensure!(next.pid != pid && place.ask("hello.php", "")? == "hello", "{pid} has not been replaced");
    place.run(&["stop"])?.expect(0, &["Shutting down php-fpm ", " done\n"])?;
    ensure!(!next.lives() && !place.0.sandbox.file("fpm.pid").exists(), "stop came back too early");
    place.run(&["status"])?.expect(3, &[])?;
    Ok(())
}

/// `quit` ends no running request and returns after the last one; `stop` does not wait for requests.
#[test]
fn quit_and_stop_wait_for_the_end() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    for (word, whole) in [("quit", true), ("stop", false)] {
        place.run(&["start"])?.expect(0, &[])?;
        let supervisor = place.supervisor().ok_or("no pid file")?;
        let in_flight = place.ask_later("work.php", "ms=1500");
        std::thread::sleep(ms(300));
        let begun = Instant::now();
        place.run(&[word])?.expect(0, &[" done\n"])?;
        ensure!(!supervisor.lives(), "{word} came back too early");
        ensure!((begun.elapsed() > ms(900)) == whole, "{word} took {:?}", begun.elapsed());
        let answer = in_flight.join().map_err(|_| "the client panicked")?;
        let done = answer.as_ref().is_ok_and(|text| text == "done" || text.ends_with("short"));
        ensure!(done == whole, "{word}: {answer:?}");
    }
    Ok(())
}

/// After `reload` has returned, no request runs old code; each of several concurrent calls gets its result.
#[test]
fn reload_comes_back_when_it_is_done() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    place.run(&["reload"])?.expect(7, &["not running"])?;
    place.0.sandbox.put("www/setting.php", "<?php echo ini_get('auto_append_file'), '.', getmypid();")?;
    place.run(&["start"])?.expect(0, &[])?;
    let supervisor = place.supervisor().ok_or("no pid file")?;
    for turn in 0..5 {
        place.put_conf(&[("[www]", &format!("[www]\nphp_value[user_agent] = turn{turn}"))])?;
        place.0.sandbox.put("www/setting.php", "<?php echo ini_get('user_agent');")?;
        place.run(&["reload"])?.expect(0, &["Reload service php-fpm ", " done\n"])?;
        for _ in 0..4 {
            let seen = place.ask("setting.php", "")?;
            ensure!(seen == format!("turn{turn}"), "after reload {turn}: {seen}");
        }
    }
    let done = place.log().count("ready to handle connections");
    let all = std::thread::scope(|scope| {
        let running: Vec<_> = (0..4).map(|_| scope.spawn(|| place.run(&["reload"]))).collect();
        running.into_iter().map(|one| one.join().map_err(|_| "panicked")).collect::<Vec<_>>()
    });
    for ran in all {
        ran??.expect(0, &[" done\n"])?;
    }
    ensure!(place.log().count("ready to handle connections") > done, "nothing was reloaded");
    ensure!(supervisor.lives(), "the supervisor has ended");
    Ok(())
}

/// A command that is refused, or fails late, prints the reason, and the running server continues; the same for
/// `restart`.
#[test]
fn reload_tells_why_not() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    place.run(&["start"])?.expect(0, &[])?;
    let supervisor = place.supervisor().ok_or("no pid file")?;
    place.put_conf(&[("pm.max_children = 2", "pm.max_children = two")])?;
    place.run(&["configtest"])?.expect(78, &["unable to parse value for entry 'pm.max_children'"])?;
    let refused =
        ["Reload service php-fpm  failed", "unable to parse value for entry 'pm.max_children'", "reload refused"];
    place.run(&["reload"])?.expect(1, &refused)?;
    place.run(&["restart"])?.expect(78, &["not restarted", "pm.max_children"])?;
    place.run(&["status"])?.expect(0, &["is running"])?;
    place.put_conf(&[])?;
    place.run(&["configtest"])?.expect(0, &["test is successful"])?;
    let ini = fs::read_to_string(place.0.sandbox.file("php.ini"))?;
    place.0.sandbox.put("php.ini", &format!("{ini}opcache.preload = /no/such/preload.php\n"))?;
    place.run(&["reload"])?.expect(1, &[" failed\n", "/no/such/preload.php", "serves on"])?;
    place.0.sandbox.put("php.ini", &ini)?;
    place.run(&["reload"])?.expect(0, &[" done\n"])?;
    ensure!(supervisor.lives() && place.ask("hello.php", "")? == "hello", "it does not go on");
    Ok(())
}

/// After `logrotate` has returned, all logs are new files; if one cannot be created, it says so.
#[test]
fn logrotate_comes_back_with_new_files() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    place.run(&["logrotate"])?.expect(7, &["not running"])?;
    let dir = place.0.sandbox.file("logs");
    fs::create_dir(&dir)?;
    place.put_conf(&[("[www]", &format!("[www]\naccess.log = {}/access.log", dir.display()))])?;
    place.run(&["start"])?.expect(0, &[])?;
    for turn in 0..3 {
        fs::rename(dir.join("access.log"), dir.join(format!("access.{turn}")))?;
        place.run(&["logrotate"])?.expect(0, &["Re-opening php-fpm log file ", " done\n"])?;
        ensure!(dir.join("access.log").exists(), "it isn't there yet");
        place.ask("hello.php", "")?;
        wait_until("a line in the new file", ms(2000), || {
            Log::new(&dir.join("access.log")).text().lines().count() == 1
        })?;
    }
    fs::remove_dir_all(&dir)?;
    place.run(&["logrotate"])?.expect(1, &[" failed\n", "logs/access.log"])?;
    Ok(())
}

/// A FIFO in place of the pid file is not waited for.
#[test]
fn a_pid_file_that_is_a_fifo() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    nix::unistd::mkfifo(&place.0.sandbox.file("fpm.pid"), nix::sys::stat::Mode::S_IRWXU)?;
    let words = ["status", "stop", "quit", "reload", "logrotate"];
    let run = |word| place.run(&[word])?.expect(4, &["it is not a regular file"]).map(drop);
    let done = words.into_iter().try_for_each(run);
    // The end of the test reads the file.
    fs::remove_file(place.0.sandbox.file("fpm.pid"))?;
    done
}

/// A pid file of no process, or of another program, is recognised as such; the other program gets no signal.
#[test]
fn other_processes_are_left_alone() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let pid_file = place.0.sandbox.file("fpm.pid");
    let mut other = Command::new("sleep").arg("100").spawn()?;
    let stands = Process::find(i32::try_from(other.id())?).ok_or("no sleep")?;
    for text in [other.id().to_string(), "4194304".to_owned(), "nonsense".to_owned(), "-1".to_owned(), String::new()] {
        fs::write(&pid_file, &text)?;
        place.run(&["status"])?.expect(1, &["php-fpm is stopped, although there is a pid file"])?;
        place.run(&["stop"])?.expect(0, &["is not running"])?;
        place.run(&["quit"])?.expect(0, &["is not running"])?;
        place.run(&["reload"])?.expect(7, &[])?;
    }
    let lives = stands.lives();
    other.kill()?;
    other.wait()?;
    ensure!(lives, "the process of another program was ended");
    place.run(&["start"])?.expect(0, &[" done\n"])?;
    let supervisor = place.supervisor().ok_or("no pid file")?;
    supervisor.signal(Signal::SIGKILL);
    wait_until("its end", ms(5000), || !supervisor.lives())?;
    place.run(&["status"])?.expect(1, &[])?;
    Ok(())
}

/// An impossible command has a status of its own; options work as before.
#[test]
fn what_can_not_be_done() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    for words in [&["start", "stop"][..], &["begin"], &["start", "-F"], &["reload", "-t"]] {
        place.run(words)?.expect(64, &["Usage: php-fpm"])?;
    }
    place.put_conf(&[("pid = ", "; pid = ")])?;
    for word in ["start", "stop", "reload", "status"] {
        place.run(&[word])?.expect(6, &["no pid file is configured"])?;
    }
    let pid = place.0.sandbox.file("other.pid");
    place.run(&["-g", &pid.to_string_lossy(), "status"])?.expect(3, &[])?;
    place.put_conf(&[("[www]", "[www\n")])?;
    place.run(&["start"])?.expect(78, &["Starting php-fpm ", " failed\n"])?;
    place.put_conf(&[("listen = ", "listen = /no/such/directory")])?;
    let ran = place.run(&["start"])?;
    ensure!(ran.status.is_some_and(|status| status != 0), "{ran:?}");
    place.put_conf(&[])?;
    if as_root() {
        place.run(&["start"])?.expect(0, &[])?;
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(place.0.target.program());
        command.envs(place.0.target.environment()).current_dir("/");
        command.arg("stop").arg("-y").arg(place.0.sandbox.file("fpm.conf"));
        run_to_end(&mut command)?.expect(4, &[" failed\n"])?;
        ensure!(place.supervisor().is_some(), "it does not run any more");
    } else {
        skip("the part with another user's server needs root");
    }
    Ok(())
}

/// How long `reload` takes: no longer than the reload itself.
#[test]
fn reload_is_quick() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let turn = turn::alone()?;
    place.run(&["start"])?.expect(0, &[])?;
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        place.run(&["reload"])?.expect(0, &[])?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    say(&format!("control: reload in {median:.1?} (median of 10)"));
    turn.expect_within("a reload by the control script", median, ms(1500))
}
