//! Numbers of earlier moments, for rates, percentiles, and what has happened within the last minute. They are taken only while somebody
//! looks: a monitor that nobody asks does not wake up.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::pool_numbers::Numbers;
use super::views::Pool;
use crate::overview::Recent;
use crate::scoreboard::{CLASSES, Counter, Histogram};
use crate::sys::clock::Moment;

/// The time between two samples.
const EVERY: Duration = Duration::from_secs(1);
/// Samples are taken for so long after the last question.
const WATCHED: Duration = Duration::from_secs(60);
/// Small samples of a pool: those of a minute.
const SMALL: usize = 61;
/// Full samples of a pool, and the time between two.
const FULL: usize = 4;
const FULL_EVERY: Duration = Duration::from_secs(5);
/// A rate over a shorter time would be noise.
const SHORTEST: Duration = Duration::from_millis(900);

/// What a full sample has.
#[derive(Debug, Clone, Default)]
pub(super) struct Full {
    /// By class of statuses.
    pub(super) ended: [u64; CLASSES.len()],
    pub(super) durations: Histogram,
    pub(super) waits: Histogram,
    /// CPU time in microseconds.
    pub(super) cpu: u64,
}

/// What each sample has.
#[derive(Debug, Clone, Copy, Default)]
struct Small {
    ended: u64,
    lost: u64,
    crashes: u64,
    timeouts: u64,
    out_of_memory: u64,
    limit_reached: u64,
}

#[derive(Debug, Default)]
struct Series {
    small: VecDeque<(Moment, Small)>,
    full: VecDeque<(Moment, Full)>,
}

/// The samples of all pools.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// They are taken until then.
    until: Option<Moment>,
    next: Moment,
    pools: BTreeMap<String, Series>,
    /// Dropped log lines.
    lines: VecDeque<(Moment, u64)>,
}

impl Full {
    pub(super) fn of(numbers: &Numbers) -> Self {
        let mut durations = Histogram::default();
        numbers.durations.iter().for_each(|class| durations.add(class));
        let cpu = [Counter::CpuUser, Counter::CpuSystem].map(|counter| numbers.counter(counter));
        Self {
            ended: numbers.durations.each_ref().map(Histogram::count),
            durations,
            waits: numbers.waits.clone(),
            cpu: cpu[0].saturating_add(cpu[1]),
        }
    }

    /// What has been added since.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            ended: std::array::from_fn(|class| self.ended[class].saturating_sub(earlier.ended[class])),
            durations: self.durations.since(&earlier.durations),
            waits: self.waits.since(&earlier.waits),
            cpu: self.cpu.saturating_sub(earlier.cpu),
        }
    }
}

impl Small {
    fn of(numbers: &Numbers) -> Self {
        let counter = |counter| numbers.counter(counter);
        Self {
            ended: numbers.durations.iter().fold(0, |sum, class| class.count().wrapping_add(sum)),
            lost: counter(Counter::Lost),
            crashes: counter(Counter::ExitCrash),
            timeouts: counter(Counter::ExitTimeout),
            out_of_memory: counter(Counter::ExitOom),
            limit_reached: counter(Counter::LimitReached),
        }
    }
}

impl Samples {
    /// When the next one is due; never if nobody looks.
    pub(super) fn due(&self) -> Option<Moment> {
        self.until.map(|until| self.next.min(until))
    }

    /// Somebody looks. Whether a sample is to be taken at once.
    pub(super) fn look(&mut self, now: Moment) -> bool {
        self.until = Some(now + WATCHED);
        self.next <= now
    }

    /// Nobody has looked for long: forgets all.
    pub(super) fn end(&mut self, now: Moment) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            *self = Self::default();
        }
        over
    }

    /// Takes a sample. The next one is due after a second, or after the given time if that is longer.
    pub(super) fn take(&mut self, pools: &[Pool<'_>], lines: u64, now: Moment) {
        for pool in pools {
            let series = self.pools.entry(pool.current.view.pool.clone()).or_default();
            push(&mut series.small, SMALL, now, Small::of(&pool.numbers));
            if series.full.back().is_none_or(|(at, _)| now.since(*at) >= FULL_EVERY) {
                push(&mut series.full, FULL, now, Full::of(&pool.numbers));
            }
        }
        // Pools that are no longer there.
        self.pools.retain(|_, series| series.small.back().is_some_and(|(at, _)| *at == now));
        push(&mut self.lines, SMALL, now, lines);
        self.next = now + EVERY;
    }

    /// Samples take their part of a processor only.
    pub(super) fn not_before(&mut self, at: Moment) {
        self.next = self.next.max(at);
    }

    /// The time that rates are about. `None`: since the start.
    pub(super) fn window(&self, now: Moment) -> Option<Duration> {
        let begins = self.pools.values().filter_map(|series| before(&series.full, now).map(|(at, _)| *at)).min();
        begins.map(|begin| now.since(begin))
    }

    /// The numbers of a pool at the beginning of its window, and how long that is ago.
    pub(super) fn base(&self, pool: &str, now: Moment) -> Option<(Duration, &Full)> {
        let (at, full) = before(&self.pools.get(pool)?.full, now)?;
        Some((now.since(*at), full))
    }

    /// What went wrong with a pool of that age since the first sample.
    pub(super) fn recent(&self, pool: &str, numbers: &Numbers, age: Duration, now: Moment) -> Recent {
        let first = self.pools.get(pool).and_then(|series| before(&series.small, now));
        // All that a young pool has counted is recent.
        let (time, former) = match first {
            _ if age <= WATCHED => (age, Small::default()),
            Some((at, small)) => (now.since(*at), *small),
            None => return Recent::default(),
        };
        let present = Small::of(numbers);
        Recent {
            seconds: time.as_secs_f64(),
            lost: present.lost.saturating_sub(former.lost),
            crashes: present.crashes.saturating_sub(former.crashes),
            timeouts: present.timeouts.saturating_sub(former.timeouts),
            out_of_memory: present.out_of_memory.saturating_sub(former.out_of_memory),
            limit_reached: present.limit_reached.saturating_sub(former.limit_reached),
        }
    }

    /// How many log lines were dropped since the first sample.
    pub(super) fn recent_lines(&self, lines: u64, now: Moment) -> u64 {
        before(&self.lines, now).map_or(0, |(_, former)| lines.saturating_sub(*former))
    }

    /// Requests per second of a pool between samples.
    pub(super) fn history(&self, pool: &str) -> Vec<f64> {
        let Some(series) = self.pools.get(pool) else { return Vec::new() };
        let pairs = series.small.iter().zip(series.small.iter().skip(1));
        pairs
            .map(|((from, former), (to, later))| rate(later.ended.saturating_sub(former.ended), to.since(*from)))
            .collect()
    }
}

/// The oldest sample, if it is old enough.
fn before<T>(samples: &VecDeque<(Moment, T)>, now: Moment) -> Option<&(Moment, T)> {
    samples.front().filter(|(at, _)| now.since(*at) >= SHORTEST)
}

fn push<T>(samples: &mut VecDeque<(Moment, T)>, most: usize, now: Moment, sample: T) {
    if samples.len() >= most {
        samples.pop_front();
    }
    samples.push_back((now, sample));
}

/// So many per second.
#[allow(clippy::cast_precision_loss, reason = "a rate to show")]
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}
