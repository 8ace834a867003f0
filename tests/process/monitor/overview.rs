//! `/api/v1/` of the monitor, and `php-fpm top`.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Instant;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use serde_json::Value;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{Ran, command_in, run_to_end};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::Monitored;

fn json(monitored: &Monitored, path: &str) -> Outcome<Value> {
    let reply = monitored.get(path)?.expect(200)?;
    ensure!(reply.header("cache-control") == Some("no-store"), "{reply:?}");
    Ok(serde_json::from_str(&reply.text())?)
}

/// A request that runs, with bytes in its URI that are neither UTF-8 nor harmless.
fn running(server: &Server) -> Outcome<Client> {
    let mut client = Client::connect(&server.address, bar(ms(5000)))?;
    let page = server.sandbox.page("slow.php");
    let request = Request::get(&page).param("QUERY_STRING", "how=nap&seconds=9&key=\u{1b}[2J\"secret");
    client.send(&request.encode(1))?;
    Ok(client)
}

/// Numbers of real traffic; and texts of requests only if the configuration says so.
#[test]
fn numbers_and_requests() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(2))?;
    let server = &monitored.server;
    json(&monitored, "/api/v1/overview")?;
    (0..5).try_for_each(|_| server.says_hello(&server.address))?;
    let busy = running(server)?;
    let mut seen = Value::Null;
    let counted = || {
        seen = json(&monitored, "/api/v1/overview").unwrap_or_default();
        let pool = &seen["pools"][0];
        pool["requests"]["by_class"]["2xx"] == 5 && pool["workers"]["busy"] == 1 && seen["state"] == "serving"
    };
    let waited = wait_until("the overview shows the traffic", bar(ms(5000)), counted);
    ensure!(waited.is_ok(), "{seen:#}");
    let pool = &seen["pools"][0];
    ensure!(pool["name"] == "www" && pool["phase"] == "serving" && pool["workers"]["limit"] == 2, "{pool:#}");
    ensure!(
        seen["diagnosis"] == "Pool www serves and uses 1 of its 2 workers." && seen["severity"] == "ok",
        "{seen:#}"
    );
    let hidden = json(&monitored, "/api/v1/pools/www")?;
    ensure!(hidden["running"] == Value::Null && !hidden.to_string().contains("secret"), "{hidden:#}");
    let states: Vec<&str> =
        hidden["slots"].as_array().into_iter().flatten().filter_map(|s| s["state"].as_str()).collect();
    ensure!(states.contains(&"running") && states.contains(&"idle"), "{hidden:#}");
    let unknown = monitored.get("/api/v1/pools/other")?.expect(404)?.text();
    ensure!(unknown == "{\"error\":\"there is no such pool\"}\n", "{unknown}");
    server
        .sandbox
        .put("fpm.conf", &server.conf.replace("monitor.listen", "monitor.show_requests = yes\nmonitor.listen"))?;
    server.reload()?;
    let shown = || {
        let detail = json(&monitored, "/api/v1/pools/www").unwrap_or_default();
        let uri = detail["running"][0]["uri"].as_str().unwrap_or_default();
        uri.ends_with("slow.php?how=nap&seconds=9&key=\u{1b}[2J\"secret") && detail["running"][0]["method"] == "GET"
    };
    wait_until("the request is shown", bar(ms(5000)), shown)?;
    top(&target, server, &["--pool", "www", "--once"])?.expect(0, &["key=\\x1B[2J\"secret", "slow.php"])?;
    drop(busy);
    monitored.server.stop()
}

fn top(target: &Target, server: &Server, options: &[&str]) -> Outcome<Ran> {
    let options: Vec<&str> = ["top"].iter().chain(options).copied().collect();
    run_to_end(&mut command_in(target, &server.sandbox, &options))
}

/// A killed worker, a reload and one that is refused are told, also by the monitor that comes after a reload.
#[test]
fn events() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(1))?;
    let server = &monitored.server;
    server.says_hello(&server.address)?;
    server.workers().pop().ok_or("no worker")?.signal(nix::sys::signal::Signal::SIGKILL);
    let texts = || -> Vec<String> {
        let events = json(&monitored, "/api/v1/events").unwrap_or_default();
        let text = |event: &Value| event["text"].as_str().map(str::to_owned);
        events["events"].as_array().into_iter().flatten().filter_map(text).collect()
    };
    let told = |wanted: &[&str]| wait_until(&format!("{wanted:?}"), bar(ms(5000)), || texts() == wanted);
    let killed = ["1 worker was killed or ended by itself", "php-fpm has started"];
    told(&killed)?;
    let events = json(&monitored, "/api/v1/events")?;
    ensure!(events["events"][0]["pool"] == "www" && events["events"][0]["kind"] == "exit", "{events:#}");
    server.reload()?;
    let reloaded = [&["the reload is complete", "a reload has begun"][..], &killed].concat();
    told(&reloaded)?;
    server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
    server.supervisor.signal(nix::sys::signal::Signal::SIGUSR2);
    wait_until("the refusal is told", bar(ms(8000)), || texts().first().is_some_and(|text| text.contains("refused")))?;
    let seen = json(&monitored, "/api/v1/overview")?;
    let reason = seen["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("no.such.directive") && seen["severity"] == "warning", "{seen:#}");
    ensure!(seen["diagnosis"].as_str().is_some_and(|text| text.contains(reason)), "{seen:#}");
    monitored.server.stop()
}

/// Without a terminal, and what is wrong.
#[test]
fn top_once() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(2))?;
    let server = &monitored.server;
    server.says_hello(&server.address)?;
    let words = [") serving, up ", "Pool www serves and uses 0 of its 2 workers.", "REQ/S"];
    let ran = top(&target, server, &[])?.expect(0, &words)?;
    let row = ran.text.lines().find(|line| line.starts_with("www ")).ok_or_else(|| ran.text.clone())?;
    ensure!(row.contains(" 0/2 ") && !ran.text.contains('\u{1b}'), "{}", ran.text);
    let ran = top(&target, server, &["--json"])?;
    let seen: Value = serde_json::from_str(&ran.text).map_err(|e| format!("{e}: {}", ran.text))?;
    ensure!(ran.status == Some(0) && seen["pools"][0]["requests"]["total"] == 1, "{seen:#}");
    top(&target, server, &["--pool", "www", "--once"])?.expect(0, &["monitor.show_requests = yes", "STATE", "idle"])?;
    top(&target, server, &["--pool=other"])?.expect(8, &["top: the monitor knows no pool other; there are www"])?;
    top(&target, server, &["--twice"])?.expect(3, &["top: it does not take all of '--twice'"])?;
    server.sandbox.put("other.conf", "[www]\nlisten = /x\n")?;
    let other = server.sandbox.file("other.conf").display().to_string();
    top(&target, server, &["-y", &other])?.expect(8, &["other.conf sets no monitor.listen"])?;
    server.sandbox.put("other.conf", "[global]\nmonitor.listen = /nowhere/monitor.sock\n")?;
    top(&target, server, &["-y", &other])?
        .expect(111, &["top: the monitor at /nowhere/monitor.sock does not answer"])?;
    monitored.server.stop()
}

/// On a terminal of 80 columns it draws until `q`, and leaves the terminal as it was.
#[test]
fn top_on_a_terminal() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(2))?;
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None)?;
    let same = || -> Outcome<OwnedFd> { Ok(terminal.slave.try_clone()?) };
    let mut command = command_in(&target, &monitored.server.sandbox, &["top"]);
    command.stdin(same()?).stdout(same()?).stderr(Stdio::piped()).env("TERM", "xterm");
    let before = tcgetattr(&terminal.slave)?;
    let mut running = command.spawn()?;
    drop(command);
    let mut keys = File::from(terminal.master.try_clone()?);
    let mut drawn = Drawn(File::from(terminal.master), Vec::new());
    let until = Instant::now() + bar(ms(5000));
    // Two pictures: it goes on by itself.
    while drawn.text().matches("REQ/S").count() < 2 && Instant::now() < until {
        drawn.more()?;
    }
    let raw = tcgetattr(&terminal.slave)?;
    keys.write_all(b"xq")?;
    let ended = wait_until("top ends", bar(ms(5000)), || matches!(running.try_wait(), Ok(Some(_))));
    if ended.is_err() {
        running.kill()?;
    }
    let status = running.wait()?;
    drawn.more()?;
    let text = drawn.text();
    ensure!(ended.is_ok() && status.success(), "{status}: {text:?}");
    ensure!(!raw.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO), "{raw:?}");
    ensure!(tcgetattr(&terminal.slave)?.local_flags == before.local_flags, "the terminal is not as it was");
    ensure!(text.starts_with("\u{1b}[?1049h") && text.ends_with("\u{1b}[?25h\u{1b}[?1049l"), "{text:?}");
    ensure!(text.contains("Pool www serves and uses 0 of its 2 workers."), "{text:?}");
    monitored.server.stop()
}

/// What has been written to a terminal.
struct Drawn(File, Vec<u8>);

impl Drawn {
    /// Waits for more, up to half a second.
    fn more(&mut self) -> Outcome {
        use std::os::fd::AsFd as _;
        let mut bytes = [0; 16 * 1024];
        let mut fds = [nix::poll::PollFd::new(self.0.as_fd(), nix::poll::PollFlags::POLLIN)];
        if nix::poll::poll(&mut fds, 500_u16)? > 0 {
            let count = self.0.read(&mut bytes)?;
            self.1.extend_from_slice(&bytes[..count]);
        }
        Ok(())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.1).into_owned()
    }
}
