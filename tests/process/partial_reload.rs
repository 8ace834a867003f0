//! `php-fpm reload NAME…` and `php-fpm reload --changed`: how they reach the supervisor, and what they reload.
#![forbid(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::process::Process;
use testkit::stage::{Ran, run_to_end};
use testkit::stream::Address;
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, skip, turn};

use crate::control::Place;

/// The file of requests of that process.
fn request_file(process: &Process) -> Outcome<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{}/fd", process.pid))?;
    let is_it =
        |path: &PathBuf| fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("memfd:cgi-fpm-orders"));
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_it).collect();
    ensure!(paths.len() == 1, "files of requests: {paths:?}");
    Ok(paths[0].clone())
}

/// A name that is neither a pool's nor a group's is an error before anything is done. Requests reach the supervisor also after it
/// has executed itself, and what others write into the file does no harm.
#[test]
fn names_are_checked_and_requests_survive_a_reload() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    place.run(&["reload", "www"])?.expect(7, &["not running"])?;
    place.run(&["start"])?.expect(0, &[])?;
    let supervisor = place.supervisor().ok_or("no pid file")?;
    for round in 0..3 {
        let unknown = ["no pool or group has the name 'nobody', 'shop'; there are: www", "nothing has changed"];
        let ready = place.log().count("ready to handle connections");
        place.run(&["reload", "www", "shop", "nobody"])?.expect(1, &unknown)?;
        ensure!(place.log().count("ready to handle connections") == ready, "it was reloaded");
        place.run(&["reload", "www"])?.expect(0, &["Reload service php-fpm  done\n"])?;
        place.run(&["reload"])?.expect(0, &[" done\n"])?;
        ensure!(supervisor.lives() && place.ask("hello.php", "")? == "hello", "it does not go on after round {round}");
    }
    let names: Vec<String> = (0..5000).map(|n| format!("customer{n:06}")).collect();
    let words: Vec<&str> = std::iter::once("reload").chain(names.iter().map(String::as_str)).collect();
    place.run(&words)?.expect(1, &["too many names", "nothing was reloaded"])?;
    let mut file = OpenOptions::new().append(true).open(request_file(&supervisor)?)?;
    file.write_all(b"no JSON\n{\"dance\":{}}\n")?;
    file.set_len(1 << 30)?;
    file.set_len(20)?;
    place.run(&["reload", "www"])?.expect(0, &[" done\n"])?;
    wait_until("a line about the rest", ms(5000), || {
        place.log().count("requests of php-fpm's commands are not understood") > 0
    })?;
    Ok(())
}

/// Two groups with a worker each, and what to add to the sections of both.
struct Two {
    place: Place,
    conf: String,
    shop: Address,
}

impl Two {
    fn start(target: Target) -> Outcome<Self> {
        let place = Place::new(target)?;
        let conf = place.0.conf.replace("pm.max_children = 2", "pm.max_children = 1");
        let (global, pool) = conf.split_once("[www]").ok_or("no pool www")?;
        let directory = place.0.sandbox.path().display().to_string();
        place.0.sandbox.put("shop.ini", &fs::read_to_string(place.0.sandbox.file("php.ini"))?)?;
        let shop = pool.replace("fpm.sock", "shop.sock");
        let ini = format!("process.php_ini = {directory}/shop.ini");
        let conf = format!(
            "{global}[www]\nprocess.group = web\npm.status_path = /status\n; of www{pool}\n[shop]\n{ini}\npm.status_path = /status\n; of shop{shop}\n"
        );
        let shop = Address::Unix(place.0.sandbox.file("shop.sock"));
        place.0.sandbox.put("fpm.conf", &conf)?;
        place.run(&["start"])?.expect(0, &[" done\n"])?;
        Ok(Self { place, conf, shop })
    }

    fn put(&self, of_www: &str, of_shop: &str, of_global: &str) -> Outcome {
        let conf = self.conf.replace("; of www", of_www).replace("; of shop", of_shop);
        self.place.0.sandbox.put("fpm.conf", &conf.replace("[global]", &format!("[global]\n{of_global}")))
    }

    /// The workers of www and of shop.
    fn pids(&self) -> Outcome<(String, String)> {
        let request = Request::get(&self.place.0.sandbox.page("pid.php"));
        let ask = |address| ask_once(address, &request, ms(5000));
        Ok((ask(&self.place.0.address)?, ask(&self.shop)?))
    }

    /// Runs a reload that changes these groups, and no others.
    fn reload(&self, words: &[&str], status: i32, texts: &[&str], (www, shop): (bool, bool)) -> Outcome<Ran> {
        let before = self.pids()?;
        let ran = self.place.run(&[&["reload"], words].concat())?.expect(status, texts)?;
        let after = self.pids()?;
        let changed = (before.0 != after.0, before.1 != after.1);
        ensure!(changed == (www, shop), "{words:?}: {before:?}, then {after:?}: {}", self.place.log().text());
        Ok(ran)
    }

    fn metric(&self, address: &Address, line: &str) -> Outcome {
        let page = ask_once(address, &Request::of_pool("/status", "openmetrics"), ms(5000))?;
        ensure!(page.lines().any(|one| one == line), "{line:?} isn't in {page}");
        Ok(())
    }
}

/// Workers of groups that are not concerned keep their pids. What else is different in the file is said.
#[test]
fn only_what_is_named_or_has_changed_is_reloaded() -> Outcome {
    let Some(two) = Target::find_ours().map(Two::start).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let (done, executed) = (" done\n", || two.place.log().count("execvp("));
    two.reload(&["shop"], 0, &[done], (false, true))?;
    two.reload(&["web"], 0, &[done], (true, false))?;
    two.reload(&["www", "shop"], 0, &[done], (true, true))?;
    two.reload(&["--changed"], 0, &[done, "no group has changed: nothing is reloaded"], (false, false))?;
    two.put("php_value[user_agent] = x\n", "", "")?;
    two.reload(&["shop"], 0, &[done, "changed in the configuration, but not reloaded: www\n"], (false, true))?;
    two.reload(&["--changed"], 0, &[done], (true, false))?;
    let ini = two.place.0.sandbox.file("shop.ini");
    let text = fs::read_to_string(&ini)?;
    fs::write(&ini, format!("{text}\nuser_agent = y\n"))?;
    two.reload(&["--changed"], 0, &[done], (false, true))?;
    two.reload(&["--changed"], 0, &[done, "nothing is reloaded"], (false, false))?;
    ensure!(executed() == 0, "a part needs no new image: {}", two.place.log().text());
    two.put("php_value[user_agent] = x\n", "", "log_limit = 2048")?;
    two.reload(&["shop"], 0, &[done, "but not reloaded: [global]\n"], (false, true))?;
    two.reload(&["--changed"], 0, &[done], (false, false))?;
    ensure!(executed() == 1, "[global] needs a new image: {}", two.place.log().text());
    two.reload(&["--changed", "shop"], 0, &[done], (false, true))?;
    two.reload(&[], 0, &[done], (true, true))?;
    Ok(())
}

/// A group that cannot start keeps what it had, and everything that reports about it says so.
#[test]
fn a_group_that_fails_is_named() -> Outcome {
    let Some(two) = Target::find_ours().map(Two::start).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    two.metric(&two.shop, r#"phpfpm_group_outdated{group="shop"} 0"#)?;
    two.put("", "process.php_define[opcache.preload] = /no/such/preload.php\n", "")?;
    let failed =
        ["Reload service php-fpm  failed", "php-fpm: failed: 1 of 2 groups keep what they had:\nphp-fpm: [shop] "];
    let ran = two.reload(&[], 1, &failed, (true, false))?;
    ran.expect(1, &["preload.php"])?;
    two.metric(&two.shop, r#"phpfpm_group_outdated{group="shop"} 1"#)?;
    two.metric(&two.place.0.address, r#"phpfpm_group_outdated{group="web"} 0"#)?;
    let status =
        two.place.run(&["status"])?.expect(0, &["is running, pid ", "GROUP", "keeps its configuration of "])?;
    for group in ["web ", "shop "] {
        ensure!(status.text.lines().any(|line| line.starts_with(group)), "{group}: {}", status.text);
    }
    // It is tried again by each reload of what has changed.
    two.reload(&["--changed"], 1, &["[shop] "], (false, false))?;
    two.put("", "", "")?;
    two.reload(&["--changed"], 0, &[" done\n"], (false, true))?;
    two.metric(&two.shop, r#"phpfpm_group_outdated{group="shop"} 0"#)?;
    let status = two.place.run(&["status"])?.expect(0, &["GROUP"])?;
    ensure!(!status.text.contains("keeps its configuration"), "{}", status.text);
    Ok(())
}

/// A pool that exchanges its address with a named one is reloaded with it, so it does not wait for another reload.
#[test]
fn what_is_reloaded_along_does_not_wait() -> Outcome {
    let Some(mut two) = Target::find_ours().map(Two::start).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let swapped = two.conf.replace("fpm.sock", "other.sock").replace("shop.sock", "fpm.sock");
    two.conf = swapped.replace("other.sock", "shop.sock");
    two.put("", "", "")?;
    let ran = two.reload(&["shop"], 0, &[" done\n"], (true, true))?;
    for text in [ran.text, two.place.log().text()] {
        ensure!(!text.contains("but not reloaded"), "{text}");
    }
    Ok(())
}

/// The reason why a group cannot start is printed once.
#[test]
fn a_reason_is_printed_once() -> Outcome {
    let Some(two) = Target::find_ours().map(Two::start).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let cases = [
        ("process.php_define[opcache.preload] = /no/such/preload.php\n", "PHP could not be started: "),
        ("process.php_ini = /no/such/php.ini\n", "process.php_ini = /no/such/php.ini: "),
    ];
    for (lines, reason) in cases {
        two.put("", lines, "")?;
        let serves = "reload failed: could not change group shop (generation 1 serves on)\n";
        let ran = two.reload(&["shop"], 1, &[reason, serves], (false, false))?;
        ensure!(ran.text.matches(reason).count() == 1, "{}", ran.text);
    }
    Ok(())
}

/// The file is open to processes that may signal the supervisor, and to no others.
#[test]
fn other_users_cannot_write_requests() -> Outcome {
    if !as_root() {
        skip("a second user needs root");
        return Ok(());
    }
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    place.run(&["start"])?.expect(0, &[])?;
    let supervisor = place.supervisor().ok_or("no pid file")?;
    let path = request_file(&supervisor)?;
    let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "mode {mode:o}");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", "echo x >> \"$1\"", "sh"]);
    run_to_end(command.arg(&path))?.expect(2, &["ermission denied"])?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(place.0.target.program());
    command.envs(place.0.target.environment()).current_dir("/");
    command.args(["reload", "www", "-y"]).arg(place.0.sandbox.file("fpm.conf"));
    run_to_end(&mut command)?.expect(4, &["cannot signal process"])?;
    ensure!(fs::metadata(&path)?.len() == 0, "something was written");
    Ok(())
}

/// A master process that takes no requests never gets their signal, whose default action would end it.
#[test]
fn a_former_version_gets_no_signal() -> Outcome {
    let Some(place) = Target::find_ours().map(Place::new).transpose()? else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut other = Command::new("bash").args(["-c", "exec -a 'php-fpm: master process (x)' sleep 100"]).spawn()?;
    let stands = Process::find(i32::try_from(other.id())?).ok_or("no sleep")?;
    let ran = wait_until("its title", ms(5000), || stands.title().starts_with("php-fpm: master")).and_then(|_| {
        fs::write(place.0.sandbox.file("fpm.pid"), other.id().to_string())?;
        Ok([place.run(&["reload", "www"])?, place.run(&["reload", "--changed"])?])
    });
    let lives = stands.lives();
    other.kill()?;
    other.wait()?;
    fs::remove_file(place.0.sandbox.file("fpm.pid"))?;
    for ran in ran? {
        ran.expect(1, &[" failed\n", "this php-fpm cannot reload a part; nothing was reloaded"])?;
    }
    ensure!(lives, "it was ended by the signal");
    Ok(())
}
