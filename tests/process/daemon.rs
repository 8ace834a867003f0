//! The daemon: its parent, session, pid file, and the signals that end it.
#![forbid(unsafe_code)]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::process::Process;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{Stage, run_to_end};
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, skip, turn};

#[test]
fn ends_by_term() -> Outcome {
    daemon(Signal::SIGTERM)
}

#[test]
fn ends_by_int() -> Outcome {
    daemon(Signal::SIGINT)
}

#[test]
fn ends_by_quit() -> Outcome {
    daemon(Signal::SIGQUIT)
}

/// The parent returns 0 when the daemon accepts. The daemon has its own session and a pid file, and the signal ends
/// it.
fn daemon(signal: Signal) -> Outcome {
    let Some(stage) = Stage::find(2)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let pid_file = stage.sandbox.file("fpm.pid");
    // A stale pid file is replaced; no process can have this pid.
    fs::write(&pid_file, "4194304")?;
    let status = daemonize(&stage)?;
    let result = life(&stage, status, signal);
    stage.sweep()?;
    result.map_err(|error| format!("{error}; {}", output(&stage)))?;
    ensure!(!pid_file.exists(), "the pid file stays");
    Ok(())
}

fn life(stage: &Stage, status: Option<i32>, signal: Signal) -> Outcome {
    ensure!(status == Some(0), "the parent returned {status:?}");
    let page = |name: &str| Request::get(&stage.sandbox.page(name)).param("QUERY_STRING", "ms=700");
    let body = ask_once(&stage.address, &page("hello.php"), ms(5000))?;
    ensure!(body == "hello", "{body}");
    let daemon = stage.daemon().ok_or("the pid file names no process")?;
    look_at(daemon)?;
    let (address, work) = (stage.address.clone(), page("work.php"));
    let in_flight = std::thread::spawn(move || ask_once(&address, &work, ms(5000)));
    std::thread::sleep(ms(200));
    end(stage, daemon, signal)?;
    let answer = in_flight.join().map_err(|_| "the client panicked")?;
    let finished = answer.as_ref().is_ok_and(|body| body == "done" || body.ends_with("short"));
    ensure!(finished == (signal == Signal::SIGQUIT), "the request in flight: {answer:?}");
    Ok(())
}

fn daemonize(stage: &Stage) -> Outcome<Option<i32>> {
    let output = fs::File::create(stage.sandbox.file("stdio"))?;
    let start = Instant::now();
    let status = stage.command(&["-D"]).stdout(output.try_clone()?).stderr(output).status()?;
    ensure!(start.elapsed() < ms(10_000), "the parent took {:?}", start.elapsed());
    Ok(status.code())
}

fn look_at(daemon: Process) -> Outcome {
    let session = daemon.status("NSsid");
    ensure!(session == [daemon.pid.to_string()], "session {session:?} of {}", daemon.pid);
    for process in daemon.tree() {
        let kept = process.fds().into_iter().find(|(_, to)| to.ends_with("/stdio"));
        ensure!(kept.is_none(), "{} keeps the caller's output: {kept:?}", process.title());
    }
    Ok(())
}

fn end(stage: &Stage, daemon: Process, signal: Signal) -> Outcome {
    let tree = daemon.descendants();
    ensure!(tree.len() >= 2, "no workers: {}", tree.len());
    daemon.signal(signal);
    wait_until("the daemon's end", ms(5000), || !daemon.lives() && tree.iter().all(|process| !process.lives()))?;
    ensure!(stage.address.connect(ms(500)).is_err(), "the socket still accepts connections");
    Ok(())
}

/// If the start fails, the parent says so: with its status, and the reason on stderr.
#[test]
fn parent_tells_a_failure() -> Outcome {
    let Some(stage) = Stage::find(2)? else { return Ok(()) };
    let _turn = turn::shared()?;
    stage.sandbox.put("fpm.conf", &stage.conf.replace("/fpm.sock", "/no/such/directory/fpm.sock"))?;
    let ran = stage.run(&["-D"]);
    stage.sweep()?;
    let ran = ran?;
    ensure!(ran.status.is_some_and(|status| status != 0), "status {:?}: {}", ran.status, ran.text);
    ensure!(ran.text.contains("/no/such/directory/fpm.sock"), "{}", ran.text);
    ensure!(!stage.sandbox.file("fpm.pid").exists(), "there is a pid file");
    Ok(())
}

/// Failures when PHP starts, or when a worker is set up, are reported too, and leave no process or file.
#[test]
fn parent_tells_what_fails_late() -> Outcome {
    let Some(stage) = Stage::find_ours(2)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let ini = fs::read_to_string(stage.sandbox.file("php.ini"))?;
    stage.sandbox.put("php.ini", &format!("{ini}opcache.preload = /no/such/preload.php\n"))?;
    fails_with(&stage, "/no/such/preload.php")?;
    stage.sandbox.put("php.ini", &ini)?;
    if !as_root() {
        skip("the part with a chroot needs root");
        return Ok(());
    }
    // In the chroot the target of the link does not exist.
    std::os::unix::fs::symlink("/usr", stage.sandbox.file("www/elsewhere"))?;
    let root = stage.sandbox.file("www");
    let lines = format!("chroot = {}\nchdir = /elsewhere\n", root.display());
    stage.sandbox.put("fpm.conf", &format!("{}{lines}", stage.conf))?;
    fails_with(&stage, "[pool www] failed to chdir")
}

fn fails_with(stage: &Stage, reason: &str) -> Outcome {
    for options in ["-D", "-F"] {
        let ran = stage.run(&[options]);
        stage.sweep()?;
        let ran = ran?.expect(70, &[reason, "FPM initialization failed"])?;
        ensure!(!ran.text.contains("fpm is running"), "it says more than what is wrong: {}", ran.text);
        ensure!(!stage.sandbox.file("fpm.pid").exists(), "there is a pid file");
        ensure!(stage.address.connect(ms(500)).is_err(), "the socket accepts connections");
        let log = fs::read_to_string(stage.sandbox.file("fpm.log"))?;
        ensure!(log.contains(reason), "the log lacks the reason: {log}");
    }
    Ok(())
}

/// A daemon that was started on a terminal detaches from it, and outlives it.
#[test]
fn no_terminal() -> Outcome {
    let Some(stage) = Stage::find(2)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let command = stage.command(&["-D"]);
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &format!("tty && {}", line.join(" ")), "/dev/null"]).envs(stage.target.environment());
    let ran = run_to_end(&mut terminal);
    let daemon = stage.daemon();
    let result = match daemon {
        Some(daemon) => life_without_terminal(&stage, daemon),
        None => Err(format!("no daemon: {ran:?}").into()),
    };
    stage.sweep()?;
    result?;
    ran?.expect(0, &["/dev/pts/"])?;
    Ok(())
}

fn life_without_terminal(stage: &Stage, daemon: Process) -> Outcome {
    ask_once(&stage.address, &Request::get(&stage.sandbox.page("hello.php")), ms(5000))?;
    for process in daemon.tree() {
        ensure!(process.terminal() == 0, "{} has the terminal {}", process.title(), process.terminal());
        let open = process.fds().into_iter().find(|(_, to)| to.starts_with("/dev/pts/"));
        ensure!(open.is_none(), "{} keeps it open: {open:?}", process.title());
    }
    Ok(())
}

/// A reload recreates a pid file that was removed, and renames one whose name has changed.
#[test]
fn pid_file_after_a_reload() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let [first, second] = ["fpm.pid", "second.pid"].map(|name| server.sandbox.file(name));
    let pid = fs::read_to_string(&first)?;
    fs::remove_file(&first)?;
    server.reload()?;
    ensure!(fs::read_to_string(&first)? == pid, "it isn't there again");
    server.sandbox.put("fpm.conf", &server.conf.replace("fpm.pid", "second.pid"))?;
    server.reload()?;
    ensure!(!first.exists() && fs::read_to_string(&second)? == pid, "it has not moved");
    server.stop()?;
    ensure!(!second.exists(), "it stays");
    Ok(())
}

fn output(stage: &Stage) -> String {
    let read = |name| fs::read_to_string(stage.sandbox.file(name)).unwrap_or_default();
    read("stdio") + &read("fpm.log")
}

/// The title is complete, however short the command line is and whatever the environment contains.
#[test]
fn title() -> Outcome {
    let Some(mut stage) = Stage::find(1)? else { return Ok(()) };
    let _turn = turn::shared()?;
    stage.conf += "clear_env = no\n";
    stage.sandbox.put("fpm.conf", &stage.conf)?;
    let mut command = Command::new(stage.target.program());
    command.envs(stage.target.environment()).current_dir(stage.sandbox.path()).stdin(Stdio::null());
    command.args(["-D", "-n", "-y"]).arg(stage.sandbox.file("fpm.conf")).env("CGI_FPM_TEST_VARIABLE", "x".repeat(50));
    let ran = run_to_end(&mut command);
    let daemon = stage.daemon();
    let result = daemon.ok_or_else(|| format!("no daemon: {ran:?}").into()).and_then(|daemon| {
        let wanted = format!("php-fpm: master process ({})", stage.sandbox.file("fpm.conf").display());
        ensure!(daemon.title() == wanted, "{} in place of {wanted}", daemon.title());
        let script = "<?php echo getenv('CGI_FPM_TEST_VARIABLE');";
        fs::write(stage.sandbox.page("variable.php"), script)?;
        let seen = ask_once(&stage.address, &Request::get(&stage.sandbox.page("variable.php")), ms(5000))?;
        ensure!(seen == "x".repeat(50), "the script sees {seen:?}");
        Ok(())
    });
    stage.sweep()?;
    result
}
