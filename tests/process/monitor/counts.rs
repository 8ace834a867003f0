//! What is counted: requests by status, ends of workers by reason, times, and reloads.

use std::thread::sleep;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{Monitored, Samples, www};

fn exits(samples: &Samples, reason: &str) -> f64 {
    www(samples, "phpfpm_worker_exits_total", &format!("reason=\"{reason}\""))
}

fn exit_counts(monitored: &Monitored, reason: &str, count: f64) -> Outcome {
    let counted = || monitored.samples().is_ok_and(|samples| exits(&samples, reason) == count);
    let waited = wait_until(&format!("{count} exits by {reason}"), bar(ms(8000)), counted);
    waited.map(drop).map_err(|e| format!("{e}; {}", monitored.server.log.tail(9)).into())
}

/// Each series is there before the first request, and no other one comes later.
#[test]
fn all_series_from_the_start() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(2).listen(Listen::Tcp))?;
    let names = |samples: Samples| samples.into_keys().collect::<Vec<_>>();
    let first = names(monitored.samples()?);
    for page in ["hello.php", "crash.php", "no_such.php"] {
        let request = Request::get(&monitored.server.sandbox.page(page));
        let _ = ask_once(&monitored.server.address, &request, ms(5000));
    }
    exit_counts(&monitored, "crash", 1.0)?;
    let requests = |samples: &Samples, code: &str| www(samples, "phpfpm_requests_total", &format!("code=\"{code}\""));
    let later = monitored.samples_when("a request of each kind", |samples| {
        requests(samples, "2xx") == 1.0 && requests(samples, "4xx") == 1.0
    })?;
    ensure!(www(&later, "phpfpm_requests_lost_total", "") == 1.0, "{later:#?}");
    ensure!(www(&later, "phpfpm_request_memory_peak_bytes", "") > 100_000.0, "{later:#?}");
    ensure!(names(later) == first, "{first:#?}");
    monitored.server.stop()
}

#[test]
fn reasons_of_ends() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(1).pool("pm.max_requests = 3").pool("request_terminate_timeout = 1");
    let monitored = Monitored::start(&target, &setup)?;
    let server = &monitored.server;
    for _ in 0..3 {
        server.says_hello(&server.address)?;
    }
    exit_counts(&monitored, "max_requests", 1.0)?;
    let slow = Request::get(&server.sandbox.page("slow.php")).param("QUERY_STRING", "how=spin&seconds=9");
    let _ = ask_once(&server.address, &slow, bar(ms(8000)));
    exit_counts(&monitored, "timeout", 1.0)?;
    server.await_workers(1, bar(ms(3000)))?;
    let worker = server.workers().pop().ok_or("no worker")?;
    worker.signal(Signal::SIGKILL);
    exit_counts(&monitored, "other", 1.0)?;
    server.reload()?;
    exit_counts(&monitored, "reload", 1.0)?;
    let success = "phpfpm_reloads_total{result=\"success\"}";
    let samples = monitored.samples_when("a reload", |samples| samples.get(success) == Some(&1.0))?;
    ensure!(www(&samples, "phpfpm_requests_lost_total", "") == 1.0, "only that of the timeout: {samples:#?}");
    ensure!(www(&samples, "phpfpm_worker_starts_total", "") >= 5.0, "{samples:#?}");
    monitored.server.stop()
}

/// A worker that its pool no longer needs, one that took too much memory, and a reload that is refused.
#[test]
fn idle_and_memory() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(2).pool("pm = ondemand").pool("pm.process_idle_timeout = 1s");
    let monitored = Monitored::start(&target, &setup)?;
    let server = &monitored.server;
    server.says_hello(&server.address)?;
    let some_idle = || monitored.samples().is_ok_and(|samples| exits(&samples, "idle") >= 1.0);
    wait_until("an idle worker has left", bar(ms(8000)), some_idle)?;
    let idle = exits(&monitored.samples()?, "idle");
    server.sandbox.put("fpm.conf", &format!("{}pm.max_memory = 1M\n", server.conf))?;
    server.reload()?;
    server.says_hello(&server.address)?;
    exit_counts(&monitored, "max_memory", 1.0)?;
    server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["reload refused"], ms(10_000))?;
    let failure = "phpfpm_reloads_total{result=\"failure\"}";
    let samples = monitored.samples_when("the failure", |samples| samples.get(failure) == Some(&1.0))?;
    ensure!(samples.get("phpfpm_last_reload_successful") == Some(&0.0), "{samples:#?}");
    ensure!(
        exits(&samples, "idle") >= idle && exits(&samples, "max_memory") == 1.0,
        "they survive reloads: {samples:#?}"
    );
    monitored.server.stop()
}

/// CPU time of a script, and how long requests have waited: by TCP, and by the web server's parameter.
#[test]
fn times() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(1).listen(Listen::Tcp))?;
    let server = &monitored.server;
    // The supervisor says once a second that there is a monitor.
    sleep(ms(2000));
    let spin = Request::get(&server.sandbox.page("slow.php")).param("QUERY_STRING", "how=spin&seconds=1");
    let mut busy = Client::connect(&server.address, ms(10_000))?;
    busy.send(&spin.encode(1))?;
    sleep(ms(300));
    server.says_hello(&server.address)?;
    busy.answer()?;
    let hour_ago = format!("t={}.000", std::time::UNIX_EPOCH.elapsed()?.as_secs() - 100);
    ask_once(&server.address, &server.hello().param("REQUEST_START", &hour_ago), ms(5000))?;
    let count = |samples: &Samples| www(samples, "phpfpm_queue_wait_seconds_count", "");
    let samples = monitored.samples_when("three requests", |samples| count(samples) == 3.0)?;
    let cpu: f64 = ["user", "system"]
        .iter()
        .map(|mode| www(&samples, "phpfpm_worker_cpu_seconds_total", &format!("mode=\"{mode}\"")))
        .sum();
    ensure!((0.1..3.0).contains(&cpu), "{cpu} s");
    let bucket = |le: &str| www(&samples, "phpfpm_queue_wait_seconds_bucket", &format!("le=\"{le}\""));
    ensure!(
        bucket("0.25") == 1.0 && bucket("2.0") == 2.0 && bucket("96.0") == 2.0 && bucket("128.0") == 3.0,
        "{samples:#?}"
    );
    monitored.server.stop()
}
