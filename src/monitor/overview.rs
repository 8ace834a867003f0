//! Fills in the overview. Whoever runs as a pool's user may have written any number into the pool's memory: no gauge exceeds its limit.

use std::collections::BTreeMap;
use std::time::Duration;

use super::samples::{Full, Samples, rate};
use super::views::{Pool, Views};
use crate::ipc::ViewPhase;
use crate::overview::{self, Dropped, Durations, Overview, PoolPhase, Queue, Reloads, Requests, State, Workers};
use crate::plan::exit_reason::REASONS;
use crate::scoreboard::{CLASSES, Counter, Fact, Histogram};
use crate::sys::clock::{self, Moment};

/// The event loop of the supervisor turns once a second at least. If it has not for so long, the supervisor hangs.
pub(super) const HANGS: Duration = Duration::from_secs(5);

/// What does not change while the monitor runs.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// The version of PHP.
    pub(super) php: String,
    /// Processors that php-fpm may use.
    pub(super) cores: u32,
    /// `monitor.show_requests`.
    pub(super) shows_requests: bool,
}

/// Looks at all pools. Takes a sample, if one is due.
pub(super) fn overview(views: &mut Views, samples: &mut Samples, about: &About, now: Moment) -> Overview {
    let fact = |views: &Views, fact| views.service.get(fact);
    let lines = fact(views, Fact::LinesDropped);
    let (state, reason) = state(views, now);
    let (started, wall) = (fact(views, Fact::Started), seconds(clock::wall()));
    let ended = Some(fact(views, Fact::ReloadEnded)).filter(|at| *at > 0);
    let reloads = Reloads {
        success: fact(views, Fact::ReloadsDone),
        partial: fact(views, Fact::ReloadsPartial),
        failure: fact(views, Fact::ReloadsFailed),
        last: ended,
        last_successful: fact(views, Fact::ReloadFailed) == 0,
    };
    let dropped = Dropped {
        log_lines: lines,
        output_bytes: fact(views, Fact::OutputDropped),
        recent_lines: samples.recent_lines(lines, now),
    };
    let reason = reason.or_else(|| views.events.why_reload_failed().filter(|_| !reloads.last_successful));
    let events = views.events.shown();
    let window = samples.window(now);
    let pools = views.pools();
    let shown = pools.iter().map(|one| pool(one, samples, about, now)).collect();
    if samples.look(now) {
        samples.take(&pools, lines, now);
    }
    let since_start = Duration::from_secs(clock::wall_seconds().saturating_sub(started));
    let mut overview = Overview {
        state,
        reason,
        now: wall,
        started,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        php: about.php.clone(),
        cores: about.cores,
        window_seconds: rounded(window.unwrap_or(since_start).as_secs_f64()),
        reloads,
        dropped,
        shows_requests: about.shows_requests,
        pools: shown,
        events,
        ..Overview::default()
    };
    overview.diagnose();
    overview
}

fn state(views: &Views, now: Moment) -> (State, Option<String>) {
    let fact = |fact| views.service.get(fact);
    let since = now.since(Moment::at_millis(fact(Fact::Turned)));
    let state = match () {
        () if since > HANGS => {
            let reason = format!("its event loop has not turned for {} seconds", since.as_secs());
            return (State::Hanging, Some(reason));
        }
        () if fact(Fact::Leaving) != 0 => State::Leaving,
        () if fact(Fact::Ready) == 0 => State::Starting,
        () if views.is_changing() => State::Reloading,
        () => State::Serving,
    };
    (state, None)
}

fn pool(pool: &Pool<'_>, samples: &Samples, about: &About, now: Moment) -> overview::Pool {
    let view = &pool.current.view;
    let counter = |counter| pool.numbers.counter(counter);
    let age = Duration::from_secs(clock::wall_seconds().saturating_sub(pool.current.totals.get(Counter::Started)));
    let present = Full::of(&pool.numbers);
    let (time, window) = match samples.base(&view.pool, now) {
        Some((time, base)) => (time, present.since(base)),
        None => (age, present.clone()),
    };
    let exits = REASONS.iter().map(|(reason, name)| ((*name).to_owned(), counter(Counter::of_exit(*reason as usize))));
    overview::Pool {
        name: view.pool.clone(),
        group: view.group.clone(),
        address: view.address.clone(),
        manager: view.manager.clone(),
        generation: view.generation,
        phase: match view.phase {
            ViewPhase::Starting => PoolPhase::Starting,
            ViewPhase::Serving => PoolPhase::Serving,
            ViewPhase::Draining => PoolPhase::Draining,
        },
        workers: workers(pool),
        queue: queue(pool),
        requests: requests(&present, &window, time),
        duration: percentiles(&window.durations),
        wait: percentiles(&window.waits),
        cpu: rounded((seconds(window.cpu) / time.as_secs_f64().max(1e-3)).min(f64::from(about.cores))),
        cpu_share: (window.durations.sum > 0)
            .then(|| rounded((seconds(window.cpu) / seconds(window.durations.sum)).min(1.0))),
        slow: counter(Counter::Slow),
        lost: counter(Counter::Lost),
        limit_reached: counter(Counter::LimitReached),
        exits: exits.collect(),
        memory_peak: counter(Counter::MemoryPeak),
        recent: samples.recent(&view.pool, &pool.numbers, age, now),
        history: samples.history(&view.pool).into_iter().map(rounded).collect(),
        ..overview::Pool::default()
    }
}

fn workers(pool: &Pool<'_>) -> Workers {
    let limit = u64::from(pool.current.view.limit);
    let busy = pool.counts.busy.min(limit);
    Workers {
        busy,
        idle: pool.counts.idle.min(limit - busy),
        starting: pool.counts.starting.saturating_add(pool.coming),
        draining: pool.draining,
        limit,
        wanted: pool.current.totals.get(Counter::Wanted).min(limit),
    }
}

fn queue(pool: &Pool<'_>) -> Queue {
    let limit = pool.current.totals.get(Counter::QueueLimit);
    Queue { waiting: pool.current.totals.get(Counter::Queue).min(limit), limit }
}

#[allow(clippy::cast_precision_loss, reason = "a share to show")]
fn requests(present: &Full, window: &Full, time: Duration) -> Requests {
    let all = |ended: &[u64]| ended.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let in_window = all(&window.ended);
    let errors = CLASSES.iter().zip(window.ended).find(|(class, _)| **class == "5xx").map_or(0, |(_, count)| count);
    let by_class: BTreeMap<String, u64> =
        CLASSES.iter().zip(present.ended).map(|(class, count)| ((*class).to_owned(), count)).collect();
    Requests {
        total: all(&present.ended),
        in_window,
        per_second: rounded(rate(in_window, time)),
        by_class,
        error_share: if in_window == 0 { 0.0 } else { rounded(errors as f64 / in_window as f64) },
    }
}

fn percentiles(times: &Histogram) -> Option<Durations> {
    let of = |part| times.quantile(part).map(rounded);
    Some(Durations { p50: of(0.5)?, p95: of(0.95)?, p99: of(0.99)? })
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of 285 years are exact")]
pub(super) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Six places are enough for people.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::World;
    use super::*;
    use crate::overview::Severity;
    use crate::request::Stage;
    use crate::scoreboard::Ended;

    const ABOUT: fn() -> About = || About { php: "8.2.0".to_owned(), cores: 2, shows_requests: false };

    fn at(millis: u64) -> Moment {
        Moment::at_millis(millis)
    }

    #[test]
    fn rates_are_those_between_two_looks() {
        let mut world = World::new();
        let generation = world.show(ViewPhase::Serving);
        let worker = world.worker(generation, 0);
        let ask = |count: u64, status| {
            for _ in 0..count {
                worker.begin(1);
                worker.end(Ended { duration: 100_000, status, ..Ended::default() });
                worker.stage(Stage::Idle);
            }
        };
        world.totals().set(Counter::Started, clock::wall_seconds() - 1000);
        ask(500, 200);
        let mut samples = Samples::default();
        let mut look =
            |world: &mut World, millis| overview(&mut world.views, &mut samples, &ABOUT(), at(millis)).pools.remove(0);
        let first = look(&mut world, 0);
        assert_eq!((first.requests.total, first.requests.in_window), (500, 500), "since the start");
        assert!((0.4..0.6).contains(&first.requests.per_second), "{first:?}");
        ask(30, 200);
        ask(10, 503);
        world.totals().add(Counter::CpuUser, 1_000_000);
        world.totals().add(Counter::Lost, 2);
        world.totals().add(Counter::ExitCrash, 2);
        let second = look(&mut world, 2_000);
        assert_eq!((second.requests.per_second, second.requests.error_share, second.cpu), (20.0, 0.25, 0.5));
        assert_eq!((second.requests.by_class["5xx"], second.cpu_share), (10, Some(0.25)));
        assert!(second.duration.is_some_and(|times| (0.09..0.13).contains(&times.p95)) && second.wait.is_none());
        assert_eq!((second.recent.lost, second.recent.crashes, second.recent.seconds), (2, 2, 2.0));
        assert_eq!((second.lost, second.exits["crash"]), (2, 2));
        assert_eq!((second.severity, second.diagnosis.is_some()), (Severity::Warning, true));
        let third = look(&mut world, 4_000);
        assert_eq!(third.history, [20.0], "{third:?}");
    }

    #[test]
    fn whatever_a_user_writes_no_gauge_exceeds_its_limit() {
        let mut world = World::new();
        let generation = world.show(ViewPhase::Serving);
        (0..3).for_each(|slot| world.worker(generation, slot).begin(1));
        let mut samples = Samples::default();
        for millis in [0, 2_000] {
            for word in
                [Counter::Limit, Counter::Wanted, Counter::Queue, Counter::CpuUser, Counter::Started, Counter::Lost]
            {
                world.totals().set(word, u64::MAX - 1);
            }
            world.totals().set(Counter::QueueLimit, 128);
            let seen = overview(&mut world.views, &mut samples, &ABOUT(), at(millis));
            let pool = &seen.pools[0];
            let Workers { busy, limit, wanted, .. } = pool.workers;
            assert_eq!((busy, limit, wanted, pool.queue.waiting), (3, 3, 3, 128));
            assert!(pool.cpu <= 2.0, "{pool:?}");
            let text = serde_json::to_string(&seen).unwrap();
            assert_eq!(serde_json::from_str::<Overview>(&text).unwrap(), seen);
        }
    }
}
