//! What was done to the server, and which failed requests each event explains.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between the call of `kill` and the last moment at which the process can still accept a connection.
const DYING: Duration = Duration::from_millis(20);

/// An event that may cost requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// The one request inside a killed worker of this pool, and its idle kept connection.
    Worker(usize),
    /// Kept connections that were idle in a zygote of this user: all pools of the user.
    Idle(usize),
    /// Only time of requests to the pools of this user.
    Time(usize),
}

impl Cost {
    fn owner(self) -> usize {
        match self {
            Self::Worker(pool) => pool / 2,
            Self::Idle(owner) | Self::Time(owner) => owner,
        }
    }
}

#[derive(Debug)]
struct Event {
    at: Instant,
    text: String,
    cost: Option<Cost>,
    lasts: Duration,
}

/// A request without its answer.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    /// The number of the pool.
    pub(super) pool: usize,
    /// The number of the pool's user.
    pub(super) owner: usize,
    /// The start of the request; for a kept connection that was closed while it was idle, its last use.
    pub(super) since: Instant,
    /// When it failed.
    pub(super) end: Instant,
    /// Whether a kept connection ended before the first byte of the answer. Web servers then use another connection.
    pub(super) idle: bool,
    /// How it failed.
    pub(super) what: String,
}

/// All events, in order.
#[derive(Debug)]
pub(super) struct Journal {
    start: Instant,
    events: Mutex<Vec<Event>>,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), events: Mutex::new(Vec::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event that costs no request.
    pub(super) fn note(&self, text: String) {
        self.lock().push(Event { at: Instant::now(), text, cost: None, lasts: Duration::ZERO });
    }

    /// Adds an event before it is caused.
    pub(super) fn cost(&self, cost: Cost, text: String) {
        let _ = self.lasting(cost, Duration::ZERO, text);
    }

    /// Adds an event that may cost requests for some time; returns its number.
    pub(super) fn lasting(&self, cost: Cost, lasts: Duration, text: String) -> usize {
        let mut events = self.lock();
        events.push(Event { at: Instant::now(), text, cost: Some(cost), lasts });
        events.len() - 1
    }

    /// The event costs no more requests from so much later on.
    pub(super) fn ends(&self, number: usize, later: Duration) {
        if let Some(event) = self.lock().get_mut(number) {
            event.lasts = event.at.elapsed() + later;
        }
    }

    /// The number of events.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether an event since that moment has a text with one of these words.
    pub(super) fn since(&self, moment: Instant, words: &[&str]) -> bool {
        self.lock().iter().any(|event| event.at >= moment && words.iter().any(|word| event.text.contains(word)))
    }

    /// The failures that no event explains. A killed worker explains one failed request.
    pub(super) fn unexplained(&self, mut lost: Vec<Lost>) -> Vec<Lost> {
        lost.sort_by_key(|one| one.end);
        for event in self.lock().iter() {
            let Some(cost) = event.cost else { continue };
            let meets = |one: &Lost| one.since <= event.at + event.lasts + DYING && event.at <= one.end;
            match cost {
                Cost::Worker(pool) => {
                    lost.retain(|one| !(one.idle && one.pool == pool && meets(one)));
                    if let Some(inside) = lost.iter().position(|one| one.pool == pool && meets(one)) {
                        lost.remove(inside);
                    }
                }
                Cost::Idle(owner) => lost.retain(|one| !(one.idle && one.owner == owner && meets(one))),
                Cost::Time(_) => {}
            }
        }
        lost
    }

    /// Whether something was done to a process of that user while a request was under way, or shortly before.
    pub(super) fn explains_wait(&self, owner: usize, since: Instant, end: Instant) -> bool {
        let before = since.checked_sub(Duration::from_secs(2)).unwrap_or(since);
        let meets = |event: &Event| event.at + event.lasts >= before && event.at <= end;
        self.lock().iter().any(|event| event.cost.is_some_and(|cost| cost.owner() == owner) && meets(event))
    }

    /// The seconds since the start.
    pub(super) fn second(&self, moment: Instant) -> f64 {
        moment.saturating_duration_since(self.start).as_secs_f64()
    }

    /// The events between two moments, a line each.
    pub(super) fn between(&self, from: Instant, to: Instant) -> String {
        let mut text = String::new();
        for event in self.lock().iter().filter(|event| event.at >= from && event.at <= to) {
            let _ = writeln!(text, "{:9.3}  {}", self.second(event.at), event.text);
        }
        text
    }
}
