//! A server that runs on an old file.

use std::fs;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::log::classic;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::run_in;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{of_today, whole_log};

const SERVING: &str = r#"<?xml version="1.0" ?>
<configuration>
	<section name="global_options">
		<value name="pid_file">{{DIR}}/fpm.pid</value>
		<value name="error_log">{{DIR}}/fpm.log</value>
		<value name="log_level">notice</value>
		<value name="process_control_timeout">5s</value>
		<value name="daemonize">no</value>
	</section>
	<workers>
		<section name="pool">
			<value name="name">default</value>
			<value name="listen_address">{{LISTEN}}</value>
			<value name="listen_options"><value name="mode">0666</value></value>
			<value name="user">{{USER}}</value>
			<value name="group">{{USER}}</value>
			<value name="php_defines"><value name="memory_limit">77M</value></value>
			<value name="pm"><value name="style">static</value><value name="max_children">2</value></value>
			<value name="catch_workers_output">yes</value>
			<value name="request_slowlog_timeout">1s</value>
			<value name="slowlog">{{DIR}}/slow.log</value>
			<value name="environment"><value name="OLD">times</value></value>
		</section>
	</workers>
</configuration>
"#;

const SPEAK: &str =
    "<?php fwrite(fopen('php://stderr', 'w'), \"a word\\n\"); echo getenv('OLD'), ini_get('memory_limit');";

/// A slow request's line in the log, and its entry in the slow log.
fn slow_request_is_told(server: &Server) -> Outcome {
    let page = server.sandbox.page("slow.php");
    let request = Request::get(&page).param("QUERY_STRING", "how=nap&seconds=2");
    ask_once(&server.address, &request, ms(10_000))?;
    let line = server.log.text().lines().filter_map(classic).find(|line| line.contains("too slow")).map(str::to_owned);
    let line = line.ok_or("nothing is said of a slow request")?;
    let pid = line.strip_prefix("child ").and_then(|rest| rest.split_once(',')).map_or("", |(pid, _)| pid);
    let start = format!("child {pid}, script '{}' (pool default) executing too slow (1.", page.display());
    ensure!(line.starts_with(&start) && line.ends_with(" sec), logging"), "{line}");
    let entry = fs::read_to_string(server.sandbox.file("slow.log"))?;
    let lines: Vec<&str> = entry.lines().collect();
    let heading = lines.get(1).and_then(|line| line.split_once(" pid "));
    let whose = format!("{pid} (pool default)");
    let in_form = |date: &str| classic(&format!("{date} [NOTICE] fpm(), line 1: ")).is_some();
    ensure!(lines[0].is_empty() && heading.is_some_and(|(date, rest)| in_form(date) && rest == whose), "{entry}");
    ensure!(lines[2] == format!("script_filename = {}", page.display()), "{entry}");
    ensure!(lines[3].starts_with("[0x") && lines[3].contains("] sleep() "), "{entry}");
    Ok(())
}

fn served(server: &Server) -> Outcome {
    let answer = ask_once(&server.address, &Request::get(&server.sandbox.page("speak.php")), ms(5000))?;
    ensure!(answer.contains("times77M"), "{answer:.500}");
    Ok(())
}

fn start(target: &Target) -> Outcome<Server> {
    let sandbox = Sandbox::new()?;
    sandbox.put("www/speak.php", SPEAK)?;
    Server::start_in(sandbox, target, &Setup::new(2).whole(SERVING))
}

#[test]
fn an_old_file_serves_and_logs_in_the_originals_form() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target)?;
    served(&server)?;
    slow_request_is_told(&server)?;
    let worker = server.workers().into_iter().next().ok_or("no worker")?;
    worker.signal(Signal::SIGKILL);
    let pid = worker.pid;
    let died = format!("] fpm(), line 1: child {pid} (pool default) exited on signal 9 SIGKILL after ");
    wait_until("a death is told", ms(5000), || server.log.count(&died) == 1)?;
    let said = " (pool default) said into stderr: \"a word\"";
    wait_until("a word is told", ms(5000), || server.log.count(said) > 0)?;
    server.supervisor.signal(Signal::SIGUSR1);
    wait_until("the log is reopened", ms(5000), || server.log.count("line 1: log file re-opened") == 1)?;
    server.reload()?;
    served(&server)?;
    server.await_workers(2, ms(10_000))?;
    let log = whole_log(server)?;
    for line in log.lines() {
        ensure!(classic(line).is_some(), "not in the original's form: {line}");
    }
    let told = |text: &str| log.lines().filter_map(classic).any(|line| line.starts_with(text));
    for text in ["fpm is running, pid ", "ready to handle connections", "reloading: execvp(\"", "exiting, bye-bye!"] {
        ensure!(told(text), "{text:?} is missing in {log}");
    }
    Ok(())
}

#[test]
fn a_reload_goes_from_xml_to_ini_and_back() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let server = start(&target)?;
    let ini =
        run_in(&target, &server.sandbox, &["--convert", "fpm.conf"])?.expect(0, &["\nlog_format = classic\n"])?.text;
    server.sandbox.put("fpm.conf", &ini.replace("\nlog_format = classic\n", "\n"))?;
    let mark = server.log.mark();
    server.reload()?;
    served(&server)?;
    let new = server.log.since(mark);
    let (form, last) = (new.lines().next().and_then(classic), new.lines().last().unwrap_or_default());
    ensure!(form == Some("Reloading in progress ...") && of_today(last), "{new}");
    let xml = server.conf.clone();
    // A broken configuration is refused with the line of the error; the present one continues to serve.
    server.sandbox.put("fpm.conf", &xml.replace(">5s<", ">5<"))?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    let place = format!("[{}:7] process_control_timeout: unknown suffix", server.sandbox.file("fpm.conf").display());
    server.log.wait_for(mark, &[&place, "reload refused"], ms(10_000))?;
    served(&server)?;
    server.sandbox.put("fpm.conf", &xml)?;
    let mark = server.log.mark();
    server.reload()?;
    served(&server)?;
    let new = server.log.since(mark);
    ensure!(new.lines().last().and_then(classic).is_some(), "{new}");
    server.stop()
}
