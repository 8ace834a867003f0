//! Requests that don't end keep neither their own group from reloading, nor another one.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use testkit::clock::{bar, ms, wait_until};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::Groups;

const BOTH: [(&str, &str); 2] = [("a", ""), ("b", "")];

/// A request to the first group that takes so long and whose script runs.
fn begin_request(groups: &Groups, lasts: Duration) -> Outcome<JoinHandle<Outcome<String>>> {
    let mut client = groups.server.in_hand(lasts)?;
    Ok(std::thread::spawn(move || Ok(client.answer()?.body())))
}

/// However many reloads there are during one request: its generation and the newest are all that is left.
#[test]
fn one_request_never_keeps_a_reload_waiting() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let groups = Groups::start(&target, &BOTH)?;
    let long = begin_request(&groups, ms(8_000))?;
    for _ in 0..5 {
        groups.run(&["reload"])?.expect(0, &[])?;
        groups.serves("a")?;
    }
    groups.await_generation("b", 6)?;
    let titles = || groups.server.zygotes_of("a").iter().map(|zygote| zygote.title()).collect::<Vec<_>>();
    wait_until("the end of the generations in between", bar(ms(5_000)), || titles().len() == 2)?;
    ensure!(titles().iter().any(|title| title.contains("(generation 1)")), "{:?}", titles());
    ensure!(!long.is_finished(), "the request has ended already");
    let answer = long.join().map_err(|_| "the client panicked")??;
    ensure!(answer == "done", "{answer}");
    groups.await_generation("a", 6)?;
    groups.server.stop()
}

/// A fourth reload of a group that has a long request in each of three generations is late; others get it at once.
#[test]
fn three_generations_of_one_group_keep_no_other_waiting() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let groups = Groups::start(&target, &BOTH)?;
    let mut long = Vec::new();
    for _ in 0..3 {
        long.push(begin_request(&groups, ms(30_000))?);
        groups.run(&["reload"])?.expect(0, &[])?;
    }
    groups.run(&["reload"])?.expect(0, &["these groups change later", ": a"])?;
    groups.await_generation("b", 5)?;
    groups.serves("a")?;
    let log = &groups.server.log;
    ensure!(log.count("[group a] reload waits: three generations still finish") == 1, "{}", log.tail(9));
    one_of_another_group_does_not_wait(&groups)?;
    groups.write("process.drain_patience = 1s", &BOTH)?;
    groups.run(&["reload"])?.expect(0, &[])?;
    let over = "WARNING: [group a] a reload has waited too long for the requests of generation 1";
    wait_until(over, bar(ms(10_000)), || log.count(over) == 1).map_err(|e| format!("{e}: {}", log.tail(9)))?;
    let serves = || groups.server.zygotes().iter().any(|zygote| zygote.title().contains("zygote a (generation 8)"));
    wait_until("the group", bar(ms(10_000)), serves)?;
    groups.serves("a")?;
    let cut = long.remove(0).join().map_err(|_| "the client panicked")?;
    ensure!(!matches!(&cut, Ok(answer) if answer == "done"), "the first request was to be ended: {cut:?}");
    ensure!(long.iter().all(|request| !request.is_finished()), "the others go on");
    groups.server.stop()
}

/// A reload of that group alone can begin nothing, and waits with it.
fn one_of_another_group_does_not_wait(groups: &Groups) -> Outcome {
    let begins = || groups.server.log.count("Reloading in progress");
    let before = begins();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| groups.run(&["reload", "a"]).map(drop).map_err(|e| e.to_string()));
        wait_until("the reload that waits", bar(ms(5_000)), || begins() > before)?;
        std::thread::sleep(ms(500));
        ensure!(!waiting.is_finished(), "the reload of the group that waits has ended");
        let begun = Instant::now();
        groups.run(&["reload", "b"])?.expect(0, &[])?;
        ensure!(begun.elapsed() < bar(ms(8_000)), "the other reload took {:?}", begun.elapsed());
        Ok(waiting.join().map_err(|_| "the command panicked")??)
    })
}
