//! Changes that a script makes to its process affect neither the next request nor our log.
#![forbid(unsafe_code)]

use std::process::Command;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::log::Log;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, skip, turn};

/// The state that a request finds. One call reads and cancels an alarm.
const FOUND: &str = r"<?php
$status = preg_grep('/^Sig(Blk|Ign|Cgt)/', file('/proc/self/status'));
$children = file_get_contents('/proc/self/task/' . getmypid() . '/children');
echo json_encode([
    'signals' => $status, 'alarm' => pcntl_alarm(0), 'umask' => decoct(umask()), 'children' => $children,
    'limits' => file('/proc/self/limits'), 'nice' => pcntl_getpriority(), 'session' => posix_getsid(0) === getmypid(),
    'group' => posix_getpgrp() === getmypid(), 'locale' => setlocale(LC_ALL, '0'), 'zone' => getenv('TZ'), 'date' => date('T'),
]), PHP_EOL;
register_shutdown_function(function () { echo getcwd(), PHP_EOL, getmypid(); });
";

/// A script, and whether another worker serves after it.
const CHANGES: [(&str, bool); 17] = [
    ("pcntl_alarm(1);", false),
    ("pcntl_alarm(1000); pcntl_sigprocmask(SIG_BLOCK, [SIGALRM, SIGTERM, SIGUSR1]);", false),
    (
        "pcntl_sigprocmask(SIG_BLOCK, [SIGUSR1, 40]); posix_kill(getmypid(), SIGUSR1); posix_kill(getmypid(), 40);",
        false,
    ),
    (
        "foreach ([SIGQUIT, SIGTERM, SIGINT, SIGPIPE, SIGUSR1, SIGALRM, SIGCHLD, SIGPROF] as $one) pcntl_signal($one, fn() => 1);",
        false,
    ),
    ("foreach ([SIGQUIT, SIGTERM, SIGHUP, 40] as $one) pcntl_signal($one, SIG_IGN);", false),
    ("pcntl_signal(SIGPIPE, SIG_DFL); pcntl_async_signals(true);", false),
    ("umask(0); umask(077);", false),
    ("register_shutdown_function(fn() => chdir('/tmp'));", false),
    ("register_shutdown_function(chdir(...), '/tmp'); pcntl_fork();", false),
    ("setlocale(LC_ALL, 'C.UTF-8'); putenv('TZ=America/New_York');", false),
    ("for ($i = 0; $i < 3; $i++) if (pcntl_fork() === 0) exit;", false),
    ("set_time_limit(1); ini_set('memory_limit', '64M');", false),
    ("proc_nice(3);", true),
    ("pcntl_setpriority(4);", true),
    ("posix_setrlimit(POSIX_RLIMIT_NOFILE, 30, 40);", true),
    ("posix_setpgid(0, 0);", true),
    ("posix_setsid();", true),
];

struct Found {
    /// All fields except the worker's pid.
    state: String,
    worker: String,
}

fn found(server: &Server) -> Outcome<Found> {
    let body = ask_once(&server.address, &Request::get(&server.sandbox.page("found.php")), ms(10_000))?;
    let (state, worker) = body.rsplit_once('\n').ok_or_else(|| format!("no answer: {body}"))?;
    Ok(Found { state: state.to_owned(), worker: worker.to_owned() })
}

fn has_pcntl(server: &Server) -> Outcome<bool> {
    server.sandbox.put(
        "www/pcntl.php",
        "<?php echo json_encode(function_exists('pcntl_alarm') && function_exists('posix_kill'));",
    )?;
    Ok(ask_once(&server.address, &Request::get(&server.sandbox.page("pcntl.php")), ms(10_000))? == "true")
}

#[test]
fn the_next_request_finds_what_the_first_one_found() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).pool("env[TZ] = JST-9"))?;
    if !has_pcntl(&server)? {
        skip("this PHP has no pcntl");
        return server.stop();
    }
    server.sandbox.put("www/found.php", FOUND)?;
    // The first request installs PHP's handlers.
    found(&server)?;
    let first = found(&server)?;
    let mut worker = first.worker.clone();
    for (at, (change, replaced)) in CHANGES.iter().enumerate() {
        let page = format!("change{at}.php");
        server.sandbox.put(&format!("www/{page}"), &format!("<?php {change} echo 'done';"))?;
        let body = ask_once(&server.address, &Request::get(&server.sandbox.page(&page)), ms(10_000))?;
        ensure!(body == "done", "{change} {body}");
        if change.contains("fork") {
            // The child processes have ended before the next request.
            let of_worker = |process: &testkit::process::Process| process.pid.to_string() == worker;
            let parent = server.workers().into_iter().find(of_worker).ok_or("no worker")?;
            let ended =
                || parent.children().into_iter().all(|child| child.status("State").first().is_none_or(|s| s == "Z"));
            wait_until("the end of its children", ms(5_000), ended)?;
            found(&server)?;
        }
        if *replaced {
            // The first request of the next worker is one without PHP's handlers.
            wait_until("another worker", ms(5_000), || found(&server).is_ok_and(|now| now.worker != worker))?;
        }
        let now = found(&server)?;
        ensure!(now.state == first.state, "{change}\nfirst {}\nnow   {}", first.state, now.state);
        ensure!((now.worker != worker) == *replaced, "{change} the worker was {worker}, now {}", now.worker);
        worker = now.worker;
    }
    ensure!(server.log.count("exited on signal") == 0, "{}", server.log.tail(5));
    server.stop()
}

/// Between requests, too: a signal that asks a worker to leave does not end it as it ends a program without a
/// handler.
#[test]
fn an_idle_worker_still_leaves_when_asked() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).pool("ping.path = /ping"))?;
    if !has_pcntl(&server)? {
        skip("this PHP has no pcntl");
        return server.stop();
    }
    let handlers = "<?php pcntl_signal(SIGQUIT, fn() => 1); echo getmypid();";
    server.sandbox.put("www/handlers.php", handlers)?;
    let worker: i32 =
        ask_once(&server.address, &Request::get(&server.sandbox.page("handlers.php")), ms(10_000))?.parse()?;
    // Answered without PHP, after the worker has finished the script's end.
    let ping = Request::get(&server.sandbox.page("ping")).param("SCRIPT_NAME", "/ping");
    ensure!(ask_once(&server.address, &ping, ms(10_000))? == "pong", "no ping");
    let mark = server.log.mark();
    let process = testkit::process::Process::find(worker).ok_or("no worker")?;
    process.signal(Signal::SIGQUIT);
    server.log.wait_for(mark, &[&format!("child {worker} exited")], ms(10_000))?;
    ensure!(server.log.count("exited on signal") == 0, "{}", server.log.tail(3));
    server.stop()
}

/// The access log is written while the script's zone and locale are in effect.
#[test]
fn our_log_speaks_as_before() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(1)
        .pool("env[TZ] = JST-9")
        .pool("access.log = {{LOG}}")
        .pool("access.format = \"%{%Y-%m-%d %H %z %Z %B %A}t|%{%z %B}T|%{%s}T|%{milli}d\"");
    let sandbox = testkit::sandbox::Sandbox::new()?;
    let path = sandbox.file("out/access.log");
    let setup =
        Setup { pool: setup.pool.iter().map(|l| l.replace("{{LOG}}", &path.to_string_lossy())).collect(), ..setup };
    let locales = sandbox.file("locales");
    std::fs::create_dir(&locales)?;
    let french =
        Command::new("localedef").args(["-i", "fr_FR", "-f", "UTF-8"]).arg(locales.join("fr_FR.UTF-8")).output();
    let french = french.is_ok_and(|made| made.status.success() || locales.join("fr_FR.UTF-8").exists());
    let server = Server::start_in(sandbox, &target, &setup)?;
    let script = format!(
        "<?php putenv('LOCPATH={}'); putenv('TZ=<X>5'); \
         echo setlocale(LC_ALL, 'fr_FR.UTF-8') === false ? 'none' : 'french', strftime('%B %H');",
        locales.display()
    );
    server.sandbox.put("www/plain.php", "<?php echo 1;")?;
    server.sandbox.put("www/changed.php", &script.replace("strftime(", "@strftime("))?;
    let ask = |name: &str| ask_once(&server.address, &Request::get(&server.sandbox.page(name)), ms(10_000));
    let log = Log::new(&path);
    for _ in 0..3 {
        ask("plain.php")?;
        let body = ask("changed.php")?;
        ensure!(!french || body.starts_with("french"), "the locale isn't found: {body}");
    }
    if !french {
        skip("without a French locale (apt-get install locales)");
    }
    wait_until("six lines", ms(5_000), || log.text().lines().count() == 6)?;
    let text = log.text();
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks(2) {
        let [before, after] = pair else { continue };
        let parts = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
        let (before, after) = (parts(before), parts(after));
        ensure!(before[0].contains("+0900 JST") && after[0].contains("+0900 JST"), "{text}");
        let seconds = |line: &[String]| line[2].parse::<u64>();
        ensure!(seconds(&after)?.abs_diff(seconds(&before)?) < 60, "{text}");
        // Unless the hour has changed meanwhile.
        ensure!(before[0] == after[0] || seconds(&after)? / 3600 != seconds(&before)? / 3600, "{text}");
        ensure!(after[3].contains('.'), "{text}");
    }
    server.stop()
}
