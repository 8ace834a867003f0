//! Scrapes while all workers are busy and reloads run, and a flood of connections that send garbage.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::Request;
use testkit::http;
use testkit::load::{Plan, asker};
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

use super::{Monitored, Samples, samples, www};

/// 200 clients keep 4 workers busy, and 3 reloads run: each scrape takes less than 100 ms, no counter falls, and no gauge is higher than
/// its limit.
#[test]
fn scrapes_go_on() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let turn = turn::alone()?;
    let monitored = Monitored::start(&target, &Setup::new(4).listen(Listen::Tcp))?;
    let page = monitored.server.sandbox.page("work.php");
    let request = Request::get(&page).param("QUERY_STRING", "ms=20");
    let load = Plan::clients(200).start(|_| asker(&monitored.server.address, &request, "done", ms(30_000)));
    let scraper = Scraper {
        client: http::Client::new(monitored.address, bar(ms(5000))),
        last: None,
        slowest: Duration::ZERO,
        count: 0,
    };
    let scraping = thread::spawn(move || scraper.scrape(ms(6000)));
    for _ in 0..3 {
        sleep(ms(1200));
        monitored.server.reload()?;
    }
    let scraper = scraping.join().map_err(|_| "the scraper panicked")?.map_err(|e| e.to_string())?;
    let tally = load.stop();
    say(&format!("{} scrapes, the slowest took {:.1?}; {}", scraper.count, scraper.slowest, tally.summary()));
    tally.expect_no_failure()?;
    ensure!(scraper.count > 30, "{} scrapes", scraper.count);
    turn.expect_within("the slowest scrape", scraper.slowest, ms(100))?;
    let requests = tally.times.len() as f64;
    let last = monitored.samples_when(&format!("{requests} requests"), |samples| {
        www(samples, "phpfpm_requests_total", "code=\"2xx\"") == requests
            && www(samples, "phpfpm_request_duration_seconds_count", "") == requests
    })?;
    ensure!(www(&last, "phpfpm_request_duration_seconds_bucket", "le=\"0.015625\"") == 0.0, "{last:#?}");
    // Each client waits for about a second, in the queue of the socket.
    let (waited, count) =
        (www(&last, "phpfpm_queue_wait_seconds_sum", ""), www(&last, "phpfpm_queue_wait_seconds_count", ""));
    ensure!(count > requests / 2.0 && waited / count > 0.2, "{count} have waited {waited} s");
    monitored.server.stop()
}

/// Asks for the metrics again and again.
struct Scraper {
    client: http::Client,
    last: Option<Samples>,
    slowest: Duration,
    count: u32,
}

impl Scraper {
    fn scrape(mut self, time: Duration) -> Result<Self, String> {
        let begun = Instant::now();
        let mut busy: f64 = 0.0;
        while begun.elapsed() < time {
            let start = Instant::now();
            let text =
                self.client.get("/metrics").and_then(|reply| reply.expect(200)).map_err(|e| e.to_string())?.text();
            self.slowest = self.slowest.max(start.elapsed());
            self.count += 1;
            let now = samples(&text);
            self.compare(&now)?;
            busy = busy.max(www(&now, "phpfpm_workers", "state=\"busy\""));
            let serving = www(&now, "phpfpm_workers", "state=\"busy\"") + www(&now, "phpfpm_workers", "state=\"idle\"");
            if serving > www(&now, "phpfpm_workers_limit", "") {
                return Err(format!("{serving} workers serve, more than the limit"));
            }
            self.last = Some(now);
            sleep(ms(50).saturating_sub(start.elapsed()));
        }
        // All four, but not more.
        if busy == 4.0 { Ok(self) } else { Err(format!("{busy} workers were busy at most")) }
    }

    fn compare(&self, now: &Samples) -> Result<(), String> {
        let rises = |name: &str| {
            let name = name.split('{').next().unwrap_or_default();
            let former = [
                "accepted_connections",
                "max_listen_queue",
                "max_active_processes",
                "max_children_reached",
                "slow_requests",
            ];
            ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end))
                || former.iter().any(|former| name == format!("phpfpm_{former}"))
        };
        for (name, before) in self.last.iter().flatten() {
            match now.get(name) {
                None if name.contains("generation=") => {}
                None => return Err(format!("{name} has gone")),
                Some(value) if rises(name) && value < before => {
                    return Err(format!("{name} fell from {before} to {value}"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// 10,000 connections that send garbage, or nothing, or a request whose answer they do not read, change nothing for the pool, and other
/// clients of the monitor get their answers.
#[test]
fn garbage() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let monitored = Monitored::start(&target, &Setup::new(2))?;
    let hello = monitored.server.hello();
    let before = monitored.process()?;
    let load = Plan::clients(2).pause(ms(2)).start(|_| asker(&monitored.server.address, &hello, "hello", ms(5000)));
    let (address, long) = (monitored.address, format!("GET /{} HTTP/1.1\r\n", "x".repeat(5000)));
    let garbage = [
        b"\x00\xff\x16\x03\x01".as_slice(),
        b"",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        long.as_bytes(),
        b"POST / HTTP/1.1\r\n\r\n",
    ];
    let (mut open, mut slowest) = (Vec::new(), Duration::ZERO);
    for number in 0..10_000_usize {
        let mut connection = TcpStream::connect_timeout(&address, bar(ms(5000)))?;
        // One that the monitor has closed already.
        let _ = connection.write_all(garbage[number % garbage.len()]);
        open.push(connection);
        if open.len() > 300 {
            open.remove(0);
        }
        if number % 1000 == 999 {
            let start = Instant::now();
            monitored.get("/livez")?.expect(200)?;
            slowest = slowest.max(start.elapsed());
        }
    }
    let tally = load.stop();
    say(&format!("the slowest answer took {slowest:.1?}; {}", tally.summary()));
    tally.expect_no_failure()?;
    ensure!(slowest < bar(ms(1000)), "an answer took {slowest:?}");
    ensure!(monitored.process()? == before, "another monitor was started");
    let fds = || before.fds().len();
    ensure!(fds() < 150, "{} descriptors", fds());
    drop(open);
    wait_until("the connections are closed", bar(ms(8000)), || fds() < 12)?;
    monitored.server.stop()
}
