//! Renewal of a group: too many crashes give it new processes with new shared memory, beside those that serve.

use std::path::Path;

use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::load::{Plan, asker};
use testkit::process::Process;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::Groups;

/// At its start the PHP of the first group takes a second, or fails while there is a file `broken`.
const PRELOAD: &str = "<?php if (file_exists(__DIR__ . '/broken')) exit(1); sleep(1);\n";
const RULE: &str = "emergency_restart_threshold = 3\nemergency_restart_interval = 1m";

fn start(target: &Target, global: &str) -> Outcome<Groups> {
    let slow = "pm.max_children = 6\nprocess.php_define[opcache.preload] = {{DIR}}/www/preload.php";
    let groups = [("a", slow), ("b", "")];
    let mut new = Groups::spawn_with(target, &format!("{RULE}\n{global}"), &groups, &[("www/preload.php", PRELOAD)])?;
    new.server.await_ready()?;
    Ok(new)
}

impl Groups {
    /// Makes a worker of the first group crash.
    fn crash(&self) {
        // The connection ends without an answer.
        let _ = ask_once(&self.socket("a"), &Request::get(&self.server.sandbox.page("crash.php")), ms(10_000));
    }

    fn await_line(&self, line: &str) -> Outcome {
        let log = &self.server.log;
        let awaited = wait_until(line, bar(ms(10_000)), || log.count(line) == 1);
        Ok(awaited.map(drop).map_err(|e| format!("{e}: {}", log.tail(12)))?)
    }

    /// When the opcode cache of that group started.
    fn cache(&self, name: &str) -> Outcome<String> {
        let body = ask_once(&self.socket(name), &Request::get(&self.server.sandbox.page("cache.php")), ms(10_000))?;
        Ok(body.split(' ').next().unwrap_or_default().to_owned())
    }

    fn processes(&self, name: &str) -> Vec<Process> {
        let mut all: Vec<Process> = self.server.zygotes_of(name).iter().flat_map(|z| z.tree()).collect();
        all.sort();
        all
    }
}

fn keep(groups: &Groups, page: &Path) -> Outcome<Client> {
    let mut client = Client::connect(&groups.socket("a"), bar(ms(20_000)))?;
    let answer = client.ask(&Request::get(page).keep())?.body();
    ensure!(answer == "hello", "{answer}");
    Ok(client)
}

fn renews(target: &Target, global: &str) -> Outcome {
    let groups = start(target, global)?;
    let hello = groups.server.sandbox.page("hello.php");
    ensure!(groups.server.bases().is_empty() == global.is_empty(), "base zygotes: {:?}", groups.server.bases());
    let (zygote, cache, others) = (groups.server.zygote_of("a")?, groups.cache("a")?, groups.processes("b"));
    let mut kept = keep(&groups, &hello)?;
    let mut long = groups.server.in_hand(ms(5_000))?;
    let asks = |name: &str| asker(&groups.socket(name), &Request::get(&hello), "hello", bar(ms(10_000)));
    let load = Plan::clients(3).pause(ms(2)).start(|number| asks(if number < 2 { "a" } else { "b" }));
    (0..3).for_each(|_| groups.crash());
    groups.await_line("failed processes threshold (3 in 60 sec) is reached, initiating renewal of group a")?;
    groups.await_line("NOTICE: [group a] is renewed: new processes serve, with new shared memory")?;
    let renewed: Vec<Process> = groups.server.zygotes_of("a").into_iter().filter(|z| *z != zygote).collect();
    ensure!(renewed.len() == 1 && zygote.lives(), "its zygotes, besides {zygote:?}: {renewed:?}");
    ensure!(groups.cache("a")? > cache, "the opcode cache is the former one");
    let answer = kept.ask(&Request::get(&hello).keep())?.body();
    ensure!(answer == "hello", "over the kept connection: {answer}");
    let answer = long.answer()?.body();
    ensure!(answer == "done", "the request that was running: {answer}");
    let tally = load.stop();
    tally.expect_no_failure()?;
    ensure!(tally.worst() < bar(ms(800)), "requests waited for the start of PHP: {}", tally.summary());
    groups.await_generation("a", 1)?;
    ensure!(groups.server.zygotes_of("a") == renewed, "{:?}", groups.server.zygotes_of("a"));
    ensure!(groups.processes("b") == others, "the other group has other processes: {:?}", groups.processes("b"));
    // The next one has to wait.
    (0..6).for_each(|_| groups.crash());
    groups.await_line("[group a] its renewal begins in")?;
    ensure!(groups.server.zygotes_of("a") == renewed, "a second renewal: {}", groups.server.log.tail(9));
    // A reload goes on from there, and replaces the renewal that waits.
    groups.run(&["reload"])?.expect(0, &[])?;
    groups.await_generation("a", 2)?;
    groups.serves("a")?;
    ensure!(groups.server.log.count("WARNING: [group") == 0, "{}", groups.server.log.text());
    groups.server.stop()
}

/// Under load no request fails but those that crash: neither one that runs, nor one on a kept connection, nor one that waits. Other
/// groups keep their processes.
#[test]
fn crashes_renew_their_group_and_cost_no_other_request() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    renews(&target, "")
}

/// The same if zygotes are forked from a base zygote.
#[test]
fn groups_with_a_base_zygote_are_renewed_from_it() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    renews(&target, "process.base = yes")
}

/// A reload during a renewal: the exec hands the renewal over, and the new configuration follows it.
#[test]
fn a_reload_follows_a_renewal_that_is_under_way() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let groups = start(&target, "")?;
    let hello = Request::get(&groups.server.sandbox.page("hello.php"));
    let load = Plan::clients(2).pause(ms(2)).start(|_| asker(&groups.socket("a"), &hello, "hello", bar(ms(10_000))));
    (0..3).for_each(|_| groups.crash());
    groups.run(&["reload"])?.expect(0, &[])?;
    groups.await_generation("a", 2)?;
    groups.await_generation("b", 2)?;
    load.stop().expect_no_failure()?;
    let text = groups.server.log.text();
    let lines =
        ["initiating renewal of group a", "reloading: execvp", "[group a] is renewed", "ready to handle connections"];
    let places: Vec<_> = lines.iter().map(|line| text.rfind(line)).collect();
    ensure!(places.is_sorted() && places.iter().all(Option::is_some), "{lines:?} in {text}");
    ensure!(!text.contains("ERROR"), "{text}");
    groups.server.stop()
}

/// Processes of a renewed group write to the access log that the group had, and to the next one after a rotation.
#[test]
fn a_renewed_group_keeps_its_access_log() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let lines = "access.log = {{DIR}}/a.access\naccess.format = %{REQUEST_URI}e";
    let mut groups = Groups::spawn_with(&target, RULE, &[("a", lines), ("b", "")], &[])?;
    groups.server.await_ready()?;
    (0..3).for_each(|_| groups.crash());
    groups.await_line("[group a] is renewed: new processes serve")?;
    let log = groups.file("a.access");
    let asks = |uri: &str| {
        let request = Request::get(&groups.server.sandbox.page("hello.php")).param("REQUEST_URI", uri);
        ask_once(&groups.socket("a"), &request, ms(10_000))
    };
    let has = |line: &str| {
        wait_until(line, bar(ms(5_000)), || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.lines().filter(|at| *at == line).count() == 1)
        })
    };
    asks("/before")?;
    has("/before")?;
    std::fs::rename(&log, groups.file("a.access.1"))?;
    groups.run(&["logrotate"])?.expect(0, &[])?;
    asks("/after")?;
    has("/after")?;
    groups.server.stop()
}

/// If PHP does not start any more, the present processes serve on.
#[test]
fn a_group_that_cannot_be_renewed_serves_on() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let groups = start(&target, "")?;
    let zygote = groups.server.zygote_of("a")?;
    groups.server.sandbox.put("www/broken", "")?;
    (0..3).for_each(|_| groups.crash());
    groups.await_line("ERROR: [group a] cannot be renewed: ")?;
    wait_until("the end of the new zygote", bar(ms(5_000)), || groups.server.zygotes_of("a") == [zygote])?;
    groups.serves("a")?;
    groups.serves("b")?;
    std::fs::remove_file(groups.server.sandbox.file("www/broken"))?;
    groups.run(&["reload", "a"])?.expect(0, &[])?;
    groups.await_generation("a", 2)?;
    groups.serves("a")?;
    groups.server.stop()
}
