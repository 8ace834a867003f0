//! Control characters (including C1) from scripts, clients and configurations are in no log, page, title or message
//! of ours; readable text is unchanged.

use std::fs;
use std::path::Path;

use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Sequences that a terminal may interpret, in both encodings, and a character with a byte that would be a control
/// byte on its own.
const PAGE: &str = "<?php $bad = \"esc \\x1b[31m lone \\x9b2J encoded \\u{9b}2J readable \\u{15b} line\\u{2028}end\";
    fwrite(fopen('php://stderr', 'w'), \"said $bad\\n\"); error_log(\"logged $bad\");
    eval(\"function f\\u{15b}\\x9b\\x9b() { sleep(2); } f\\u{15b}\\x9b\\x9b();\"); echo 'done';";

/// The same in the form that a client can send.
const QUERY: &str = "full&a=\u{1b}[31m\u{9b}2J\u{15b}\u{2028}";

#[test]
fn nothing_steers_a_terminal() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for format in ["", "log_format = classic", "log_format = json"] {
        let sandbox = Sandbox::new()?;
        sandbox.put("www/steer.php", PAGE)?;
        let [access, slow] = ["access.log", "slow.log"].map(|name| sandbox.file(name));
        let pool = format!(
            "catch_workers_output = yes\naccess.log = {}\naccess.format = \"%m %r%Q%q\"\nslowlog = {}\n\
             request_slowlog_timeout = 1s\npm.status_path = /status\n",
            access.display(),
            slow.display()
        );
        let setup = Setup::new(1).pool(&pool);
        let setup = if format.is_empty() { setup } else { setup.global(format) };
        let server = Server::start_in(sandbox, &target, &setup)?;
        let steer = Request::get(&server.sandbox.page("steer.php")).param("QUERY_STRING", QUERY);
        ensure!(ask_once(&server.address, &steer, bar(ms(5000)))? == "done", "no answer");
        // A different escape sequence in each place.
        let status = Request::get(Path::new("/status")).param("QUERY_STRING", QUERY);
        let status = ask_once(&server.address, &status, ms(5000))?;
        let (lone, encoded) = if format.ends_with("json") { (r"\\x9B", r"\u009b") } else { (r"\x9B2J", r"\xC2\x9B2J") };
        let log = server.log.clone();
        wait_until("what was said is logged", bar(ms(5000)), || {
            log.count("said esc") > 0 && log.count("logged esc") > 0 && log.count("executing too slow") > 0
        })?;
        wait_until("the slow log", bar(ms(5000)), || {
            fs::read_to_string(&slow).is_ok_and(|text| text.contains("sleep()"))
        })?;
        harmless("the log", &fs::read(server.sandbox.file("fpm.log"))?, &[lone, encoded, "\u{15b}"])?;
        harmless("the access log", &fs::read(&access)?, &[r"\x1B[31m\xC2\x9B2J", "\u{15b}"])?;
        harmless("the slow log", &fs::read(&slow)?, &["f\u{15b}\\x9B\\x9B()"])?;
        harmless("the status page", status.as_bytes(), &[r"\x1B[31m\xC2\x9B2J", "\u{15b}"])?;
        server.stop()?;
    }
    Ok(())
}

/// UTF-8 without control characters except tabs and newlines, and with all these texts.
fn harmless(what: &str, text: &[u8], parts: &[&str]) -> Outcome {
    let text = std::str::from_utf8(text).map_err(|e| format!("{what}: {e}"))?;
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{2028}';
    let line = text.lines().find(|line| line.contains(steers));
    ensure!(line.is_none(), "{what}: {line:?}");
    let missing = parts.iter().find(|part| !text.contains(**part));
    ensure!(missing.is_none(), "{what} lacks {missing:?}: {text:.2000}");
    Ok(())
}

/// Names of files that an operator or a package chose.
#[test]
fn names_of_a_configuration_are_shown_as_text() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    let conf = stage.conf.replace("[www]", "[w\u{9b}\u{15b}]").replace("fpm.pid", "f\u{9b}pm.pid");
    stage.sandbox.put("fpm.conf", &conf)?;
    let pid_file = stage.sandbox.file("f\u{9b}pm.pid");
    let started = stage.run(&["-D"])?;
    let daemon = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok());
    let daemon = daemon.and_then(testkit::process::Process::find);
    let titles: Vec<_> = daemon.into_iter().flat_map(|daemon| daemon.descendants()).map(|one| one.title()).collect();
    let tree: Vec<_> = daemon.map(testkit::process::Process::tree).unwrap_or_default();
    testkit::process::end_all(|| tree.clone())?;
    harmless("what the start says", started.expect(0, &[])?.text.as_bytes(), &[])?;
    ensure!(titles.iter().any(|title| title == "php-fpm: pool w\\xC2\\x9B\u{15b}"), "{titles:?}");
    // The server was killed, so the pid file still exists.
    let status = stage.run(&["status"])?.expect(1, &["f\\xC2\\x9Bpm.pid"])?;
    harmless("what the control script says", status.text.as_bytes(), &[])?;
    stage.sandbox.put("fpm.conf", &format!("{conf}no.\u{9b}such = \u{1b}\n"))?;
    for words in [&["-t"][..], &["-D"], &["restart"]] {
        harmless("a complaint", stage.run(words)?.text.as_bytes(), &[])?;
    }
    Ok(())
}
