//! A change of the log format, and standard streams as logs.

use std::fs;

use serde_json::Value;
use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::log::Log;
use testkit::process::{self, Process};
use testkit::stage::Stage;
use testkit::{Outcome, ensure, turn};

/// A reload changes the format, also for older processes; the standard stream of a daemon stays the log.
#[test]
fn the_form_changes_and_a_stream_stays() -> Outcome {
    let Some(stage) = Stage::find_ours(1)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let conf = |format: &str| {
        let error_log = format!("error_log = {}/fpm.log", stage.sandbox.path().display());
        stage.conf.replace(&error_log, &format!("error_log = stderr\nlog_format = {format}"))
            + "catch_workers_output = yes\n"
    };
    stage.sandbox.put("fpm.conf", &conf("default"))?;
    stage.sandbox.put("www/say.php", "<?php error_log('said ' . $_SERVER['QUERY_STRING']);")?;
    let output = fs::File::options().append(true).create(true).open(stage.sandbox.file("fpm.log"))?;
    let log = Log::new(&stage.sandbox.file("fpm.log"));
    let status = stage.command(&["-D"]).stdout(output.try_clone()?).stderr(output).status()?;
    let result = changes(&stage, &log, &conf);
    let pid = fs::read_to_string(stage.sandbox.file("fpm.pid")).ok().and_then(|pid| pid.trim().parse().ok());
    if let Some(daemon) = pid.and_then(Process::find) {
        let tree = daemon.tree();
        process::end_all(|| tree.clone())?;
    }
    ensure!(status.success(), "{status}: {}", log.text());
    result
}

fn changes(stage: &Stage, log: &Log, conf: &dyn Fn(&str) -> String) -> Outcome {
    for format in ["json", "default", "json"] {
        stage.sandbox.put("fpm.conf", &conf(format))?;
        stage.run(&["reload"])?.expect(0, &[])?;
        stage.run(&["logrotate"])?.expect(0, &[])?;
        let mark = log.mark();
        let request = Request::get(&stage.sandbox.page("say.php")).param("QUERY_STRING", format);
        ask_once(&stage.address, &request, ms(5000))?;
        stage.run(&["logrotate"])?.expect(0, &[])?;
        log.wait_for(mark, &[&format!("said {format}")], ms(5000))?;
        let lines = log.since(mark);
        let parsed = lines.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
        let expected = if format == "json" { lines.lines().count() } else { 0 };
        ensure!(parsed == expected && !lines.is_empty(), "{format}: {parsed} of\n{lines}");
    }
    Ok(())
}
