//! Load: clients that send requests in a loop, each in a thread, and a tally of their results.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fastcgi::{Request, ask_once};
use crate::stream::Address;
use crate::{Outcome, ensure, http};

/// One client: each call is one request, and Ok means the expected answer.
pub type Job = Box<dyn FnMut() -> Outcome + Send>;

/// A client that asks over a connection of its own each time.
#[must_use]
pub fn asker(to: &Address, request: &Request, wanted: &'static str, limit: Duration) -> Job {
    let (address, request) = (to.clone(), request.clone());
    Box::new(move || {
        let body = ask_once(&address, &request, limit)?;
        ensure!(body == wanted, "{body} in place of {wanted}");
        Ok(())
    })
}

/// A client of a web server that asks for `work.php` with that many milliseconds. `wanted`: the bodies that are
/// allowed.
#[must_use]
pub fn poster(mut web: http::Client, time: u32, wanted: &'static [&'static str]) -> Job {
    Box::new(move || {
        let text = web.post(&format!("/work.php?ms={time}"), b"some=thing")?.expect(200)?.text();
        ensure!(wanted.contains(&text.as_str()), "{text}");
        Ok(())
    })
}

/// How much load.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Clients at once.
    pub clients: usize,
    /// Requests of all clients together; None: until it is stopped.
    pub requests: Option<u64>,
    /// The pause of a client between two requests.
    pub pause: Duration,
}

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When it was sent.
    pub start: Instant,
    /// When it failed.
    pub end: Instant,
    /// How.
    pub what: String,
}

/// What the clients saw.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How long each answered request took.
    pub times: Vec<Duration>,
    /// Those that weren't.
    pub failures: Vec<Failure>,
}

/// Running load.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Plan {
    /// Clients until stopped, without a pause.
    #[must_use]
    pub fn clients(clients: usize) -> Self {
        Self { clients, requests: None, pause: Duration::ZERO }
    }

    /// With a pause between two requests of a client.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// That many requests together.
    #[must_use]
    pub fn requests(self, requests: u64) -> Self {
        Self { requests: Some(requests), ..self }
    }

    /// Starts it; `client` makes the client of a number.
    pub fn start(self, mut client: impl FnMut(usize) -> Job) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let left = Arc::new(AtomicU64::new(self.requests.unwrap_or(u64::MAX)));
        let clients = (0..self.clients).map(|number| {
            let (job, stop, left) = (client(number), Arc::clone(&stop), Arc::clone(&left));
            std::thread::spawn(move || work(job, &stop, &left, self.pause))
        });
        Load { clients: clients.collect(), stop }
    }
}

fn work(mut job: Job, stop: &AtomicBool, left: &AtomicU64, pause: Duration) -> Tally {
    let mut tally = Tally::default();
    let take = |left: u64| left.checked_sub(1);
    while !stop.load(Ordering::Relaxed) && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        let start = Instant::now();
        match job() {
            Ok(()) => tally.times.push(start.elapsed()),
            Err(error) => tally.failures.push(Failure { start, end: Instant::now(), what: error.to_string() }),
        }
        std::thread::sleep(pause);
    }
    tally
}

impl Load {
    /// Waits until all requests were made.
    #[must_use]
    pub fn finish(self) -> Tally {
        let mut all = Tally::default();
        for client in self.clients {
            if let Ok(tally) = client.join() {
                all.times.extend(tally.times);
                all.failures.extend(tally.failures);
            }
        }
        all.times.sort_unstable();
        all.failures.sort_by_key(|failure| failure.end);
        all
    }

    /// Lets each client finish its request.
    #[must_use]
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }
}

/// The time within which this share (0 to 100) of the sorted times stays; zero if there is none.
#[must_use]
pub fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted.get(sorted.len().saturating_sub(1) * share / 100).copied().unwrap_or_default()
}

impl Tally {
    /// The longest wait for an answer.
    #[must_use]
    pub fn worst(&self) -> Duration {
        self.times.last().copied().unwrap_or_default()
    }

    /// The time within which this share of the answers (0 to 100) arrived.
    #[must_use]
    pub fn percentile(&self, share: usize) -> Duration {
        percentile(&self.times, share)
    }

    /// In one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let (p50, p99, worst) = (self.percentile(50), self.percentile(99), self.worst());
        let (answered, failed) = (self.times.len(), self.failures.len());
        let mut text = format!("{answered} answered, {failed} failed; p50 {p50:.1?}, p99 {p99:.1?}, worst {worst:.1?}");
        for (what, count) in self.reasons() {
            text.push_str(&format!("; {count} x {what:.80}"));
        }
        text
    }

    fn reasons(&self) -> Vec<(String, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for failure in &self.failures {
            *counts.entry(failure.what.clone()).or_insert(0) += 1;
        }
        counts.into_iter().take(5).collect()
    }

    /// No request failed, and at least one was answered.
    ///
    /// # Errors
    /// Otherwise, with the summary.
    pub fn expect_no_failure(&self) -> Outcome {
        crate::ensure!(self.failures.is_empty() && !self.times.is_empty(), "{}", self.summary());
        Ok(())
    }
}
