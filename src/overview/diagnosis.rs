//! What matters most, as a sentence for the operator. Pure functions of the numbers.

use super::{Overview, Pool, PoolPhase, Severity, State};

/// The machine, as far as the diagnosis depends on it.
#[derive(Debug, Clone, Copy)]
struct Machine {
    /// Processors that php-fpm may use.
    cores: f64,
    /// Processors that all pools use.
    used: f64,
    /// The start is complete.
    started: bool,
}

/// A time until a worker takes a request that clients notice, in seconds.
const LONG_WAIT: f64 = 1.0;
/// Fewer requests say nothing about a share of errors.
const ENOUGH: u64 = 10;
/// So many times within a minute.
const OFTEN: u64 = 3;

type Finding = Option<(Severity, String)>;

/// What is bad about a pool. Nothing, with `Severity::Ok`.
fn of_pool(pool: &Pool, machine: Machine) -> (Severity, Option<String>) {
    let findings =
        [unserved(pool, machine), saturated(pool, machine), lost(pool), errors(pool), waits(pool), limited(pool)];
    worst(findings).map_or((Severity::Ok, None), |(severity, text)| (severity, Some(text)))
}

/// The first one of those that are worst.
fn worst(findings: impl IntoIterator<Item = Finding>) -> Finding {
    let worse = |former: (Severity, String), next: (Severity, String)| if next.0 > former.0 { next } else { former };
    findings.into_iter().flatten().reduce(worse)
}

fn unserved(pool: &Pool, machine: Machine) -> Finding {
    (pool.phase == PoolPhase::Starting && machine.started).then(|| {
        (Severity::Critical, "it does not serve, because its group has not started; the log says why".to_owned())
    })
}

fn saturated(pool: &Pool, machine: Machine) -> Finding {
    let (limit, waiting) = (pool.workers.limit, pool.queue.waiting);
    if limit == 0 || pool.workers.busy < limit || waiting == 0 || pool.phase != PoolPhase::Serving {
        return None;
    }
    let many = waiting >= limit || waiting.saturating_mul(2) >= pool.queue.limit.max(1);
    let severity = if many { Severity::Critical } else { Severity::Warning };
    let workers =
        if limit == 1 { "its only worker is busy".to_owned() } else { format!("all {limit} workers are busy") };
    let waiting = counted(waiting, "connection waits", "connections wait");
    Some((severity, format!("{workers} and {waiting}; {}", hint(pool, machine))))
}

/// Whether more workers would help.
fn hint(pool: &Pool, machine: Machine) -> String {
    let Machine { cores, used, .. } = machine;
    if used >= cores * 0.8 {
        return format!(
            "more workers would not help, because PHP already uses {used:.1} of {cores:.0} processors: make requests cheaper, or add processors"
        );
    }
    match pool.cpu_share {
        Some(share) if share < 0.01 => {
            "more workers (pm.max_children) would help, because requests hardly use a processor".to_owned()
        }
        Some(share) if share < 0.5 => format!(
            "more workers (pm.max_children) would help, because requests use a processor for only {} % of their time",
            percent(share)
        ),
        Some(_) => format!(
            "more workers (pm.max_children) would help, because {:.1} of {cores:.0} processors are free",
            (cores - used).max(0.0)
        ),
        None => "no request has ended lately: see what the running ones wait for".to_owned(),
    }
}

fn lost(pool: &Pool) -> Finding {
    let recent = &pool.recent;
    let ends = [
        (recent.crashes, "crashed", "the log has the signals"),
        (recent.out_of_memory, "ran out of memory", "lower pm.max_children or memory_limit"),
        (recent.timeouts, "exceeded request_terminate_timeout", "the slow log shows where requests stay"),
    ];
    let told: Vec<String> = ends
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, what, _)| format!("{} {what}", counted(*count, "worker", "workers")))
        .collect();
    let lost = (recent.lost > 0).then(|| counted(recent.lost, "request was lost", "requests were lost"));
    let parts: Vec<String> = told.into_iter().chain(lost).collect();
    if parts.is_empty() {
        return None;
    }
    let (count, _, advice) = ends.into_iter().max_by_key(|(count, ..)| *count)?;
    let advice = if count > 0 { format!("; {advice}") } else { String::new() };
    let bad = recent.lost >= ENOUGH || recent.crashes >= ENOUGH;
    let severity = if bad { Severity::Critical } else { Severity::Warning };
    Some((severity, format!("in the last minute {}{advice}", parts.join(", "))))
}

fn errors(pool: &Pool) -> Finding {
    let share = pool.requests.error_share;
    if pool.requests.in_window < ENOUGH || share < 0.05 {
        return None;
    }
    let severity = if share >= 0.5 { Severity::Critical } else { Severity::Warning };
    Some((severity, format!("{} % of the requests end with a status 5xx; PHP's error log says why", percent(share))))
}

fn waits(pool: &Pool) -> Finding {
    let p95 = pool.wait.filter(|wait| wait.p95 >= LONG_WAIT)?.p95;
    Some((Severity::Warning, format!("5 % of the requests have waited {p95:.1} s or longer for a worker")))
}

fn limited(pool: &Pool) -> Finding {
    let (count, limit) = (pool.recent.limit_reached, pool.workers.limit);
    (count >= OFTEN).then(|| {
        let text = format!("it has reached pm.max_children = {limit} {count} times in the last minute");
        (Severity::Warning, text)
    })
}

/// What matters most of all. The pools have their own diagnoses already, the worst first.
fn of_all(overview: &Overview) -> (Severity, String) {
    let findings = [hanging(overview), leaving(overview), nothing(overview), pools(overview), reload(overview)];
    let others = [starting(overview), dropped(overview), reloading(overview)];
    worst(findings.into_iter().chain(others)).unwrap_or_else(|| (Severity::Ok, calm(overview)))
}

fn hanging(overview: &Overview) -> Finding {
    let reason = overview.reason.as_deref().unwrap_or("its event loop does not turn");
    (overview.state == State::Hanging)
        .then(|| (Severity::Critical, format!("The supervisor hangs: {reason}. Restart php-fpm if this goes on.")))
}

fn leaving(overview: &Overview) -> Finding {
    let busy: u64 = overview
        .pools
        .iter()
        .fold(0, |sum, pool| sum.saturating_add(pool.workers.busy).saturating_add(pool.workers.draining));
    let running = match busy {
        0 => "no request runs any more".to_owned(),
        busy => format!("{} at work", counted(busy, "worker is", "workers are")),
    };
    (overview.state == State::Leaving).then(|| (Severity::Warning, format!("php-fpm is stopping; {running}.")))
}

fn nothing(overview: &Overview) -> Finding {
    let served = overview.pools.iter().any(|pool| pool.phase == PoolPhase::Serving);
    let settled = matches!(overview.state, State::Serving | State::Reloading);
    (settled && !served).then(|| (Severity::Critical, "No pool serves; the log says why.".to_owned()))
}

fn pools(overview: &Overview) -> Finding {
    let mut bad = overview.pools.iter().filter(|pool| pool.severity > Severity::Ok);
    let (worst, others) = (bad.next()?, bad.count());
    let diagnosis = worst.diagnosis.as_deref().unwrap_or_default();
    let more = match others {
        0 => String::new(),
        1 => " Another pool needs attention, too.".to_owned(),
        others => format!(" {others} other pools need attention, too."),
    };
    Some((worst.severity, format!("Pool {}: {diagnosis}.{more}", worst.name)))
}

fn reload(overview: &Overview) -> Finding {
    let reason =
        overview.reason.as_deref().map_or_else(|| "; the log says why".to_owned(), |reason| format!(": {reason}"));
    (overview.reloads.last.is_some() && !overview.reloads.last_successful).then(|| {
        (
            Severity::Warning,
            format!("The last reload has failed, at least in part{reason}. What served before serves on."),
        )
    })
}

fn starting(overview: &Overview) -> Finding {
    let (all, served) = (overview.pools.len(), serving(overview));
    (overview.state == State::Starting)
        .then(|| (Severity::Warning, format!("php-fpm is starting; {served} of {all} pools serve already.")))
}

fn dropped(overview: &Overview) -> Finding {
    let lines = overview.dropped.recent_lines;
    (lines > 0).then(|| {
        let lines = counted(lines, "log line was dropped", "log lines were dropped");
        (Severity::Warning, format!("In the last minute {lines}: a pool logs too much, or nothing reads the log."))
    })
}

fn reloading(overview: &Overview) -> Finding {
    (overview.state == State::Reloading)
        .then(|| (Severity::Ok, "A reload is under way; what served before serves until it is done.".to_owned()))
}

fn serving(overview: &Overview) -> usize {
    overview.pools.iter().filter(|pool| pool.phase == PoolPhase::Serving).count()
}

fn calm(overview: &Overview) -> String {
    let busiest = overview.pools.iter().filter(|pool| pool.phase == PoolPhase::Serving);
    let Some(busiest) = busiest.max_by(|a, b| load(a).total_cmp(&load(b))) else { return "No pool serves.".to_owned() };
    let (name, busy, limit) = (&busiest.name, busiest.workers.busy, busiest.workers.limit);
    match serving(overview) {
        1 => format!("Pool {name} serves and uses {busy} of its {}.", counted(limit, "worker", "workers")),
        all if busy == 0 => format!("All {all} pools serve, and all are idle."),
        all => format!(
            "All {all} pools serve; the busiest, {name}, uses {busy} of its {}.",
            counted(limit, "worker", "workers")
        ),
    }
}

/// Which part of its workers a pool uses; more than 1 while connections wait.
#[allow(clippy::cast_precision_loss, reason = "counts of workers")]
fn load(pool: &Pool) -> f64 {
    pool.workers.busy.saturating_add(pool.queue.waiting) as f64 / pool.workers.limit.max(1) as f64
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn percent(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}

impl Overview {
    /// Fills in all diagnoses, and brings the worst pools to the front.
    pub(crate) fn diagnose(&mut self) {
        let used = self.pools.iter().map(|pool| pool.cpu).sum();
        let started = !matches!(self.state, State::Starting | State::Leaving);
        let machine = Machine { cores: f64::from(self.cores.max(1)), used, started };
        for pool in &mut self.pools {
            (pool.severity, pool.diagnosis) = of_pool(pool, machine);
        }
        // By tenths, so that pools of about the same load keep their places.
        let rank = |pool: &Pool| (load(pool).min(1e6) * 10.0).floor();
        self.pools.sort_by(|a, b| {
            let order = b.severity.cmp(&a.severity).then_with(|| rank(b).total_cmp(&rank(a)));
            order.then_with(|| a.name.cmp(&b.name))
        });
        (self.severity, self.diagnosis) = of_all(self);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dropped, Durations, Queue, Recent, Reloads, Requests, Workers};
    use super::Severity::{Critical, Ok, Warning};
    use super::*;

    fn pool() -> Pool {
        Pool {
            name: "shop".to_owned(),
            phase: PoolPhase::Serving,
            workers: Workers { busy: 4, idle: 3, limit: 20, ..Workers::default() },
            queue: Queue { waiting: 0, limit: 511 },
            requests: Requests { in_window: 100, ..Requests::default() },
            cpu_share: Some(0.35),
            ..Pool::default()
        }
    }

    fn full(waiting: u64) -> Pool {
        let workers = Workers { busy: 20, limit: 20, ..Workers::default() };
        Pool { workers, queue: Queue { waiting, limit: 511 }, ..pool() }
    }

    fn recent(recent: Recent) -> Pool {
        Pool { recent, ..pool() }
    }

    fn machine(used: f64) -> Machine {
        Machine { cores: 4.0, used, started: true }
    }

    fn said(pool: &Pool, used: f64) -> (Severity, String) {
        let (severity, text) = of_pool(pool, machine(used));
        (severity, text.unwrap_or_default())
    }

    #[test]
    fn a_pool_whose_workers_are_all_busy() {
        let (severity, text) = said(&full(37), 0.5);
        assert_eq!(severity, Critical);
        assert_eq!(
            text,
            "all 20 workers are busy and 37 connections wait; more workers (pm.max_children) would help, because requests use a processor for only 35 % of their time"
        );
        assert_eq!(said(&full(3), 0.5).0, Warning);
        let waiting = said(&Pool { cpu_share: Some(0.001), ..full(3) }, 0.5).1;
        assert!(waiting.ends_with("because requests hardly use a processor"), "{waiting}");
        let near = said(&full(3), 3.4).1;
        assert!(near.contains("more workers would not help, because PHP already uses 3.4 of 4 processors"), "{near}");
        let free = said(&Pool { cpu_share: Some(0.9), ..full(3) }, 1.0).1;
        assert!(free.contains("would help, because 3.0 of 4 processors are free"), "{free}");
        let stuck = said(&Pool { cpu_share: None, ..full(1) }, 1.0).1;
        assert!(stuck.contains("1 connection waits; no request has ended lately"), "{stuck}");
        let one = Workers { busy: 1, limit: 1, ..Workers::default() };
        assert!(
            said(&Pool { workers: one, ..full(1) }, 0.1)
                .1
                .starts_with("its only worker is busy and 1 connection waits")
        );
    }

    #[test]
    fn what_is_no_trouble() {
        for calm in [pool(), full(0), Pool { workers: Workers { busy: 19, ..full(0).workers }, ..full(5) }] {
            assert_eq!(of_pool(&calm, machine(3.9)), (Severity::Ok, None), "{calm:?}");
        }
        let few = Requests { in_window: 9, error_share: 1.0, ..Requests::default() };
        let rare = Recent { limit_reached: 2, ..Recent::default() };
        assert_eq!(said(&Pool { requests: few, recent: rare, ..pool() }, 0.0), (Ok, String::new()));
        let starting = Pool { phase: PoolPhase::Starting, ..pool() };
        assert_eq!(of_pool(&starting, Machine { started: false, ..machine(0.0) }).0, Severity::Ok);
    }

    #[test]
    fn other_trouble_of_a_pool() {
        let wait = Some(Durations { p95: 2.14, ..Durations::default() });
        let errors =
            |error_share| Pool { requests: Requests { in_window: 10, error_share, ..Requests::default() }, ..pool() };
        for (pool, severity, text) in [
            (Pool { phase: PoolPhase::Starting, ..pool() }, Critical, "it does not serve, because its group"),
            (
                recent(Recent { lost: 1, crashes: 1, ..Recent::default() }),
                Warning,
                "in the last minute 1 worker crashed, 1 request was lost; the log has the signals",
            ),
            (
                recent(Recent { crashes: 1, out_of_memory: 4, ..Recent::default() }),
                Warning,
                "in the last minute 1 worker crashed, 4 workers ran out of memory; lower pm.max_children or memory_limit",
            ),
            (
                recent(Recent { lost: 2, timeouts: 2, ..Recent::default() }),
                Warning,
                "2 workers exceeded request_terminate_timeout, 2 requests were lost; the slow log",
            ),
            (recent(Recent { lost: 10, ..Recent::default() }), Critical, "in the last minute 10 requests were lost"),
            (errors(0.12), Warning, "12 % of the requests end with a status 5xx"),
            (errors(0.5), Critical, "50 % of the requests"),
            (Pool { wait, ..pool() }, Warning, "5 % of the requests have waited 2.1 s or longer"),
            (
                recent(Recent { limit_reached: 5, ..Recent::default() }),
                Warning,
                "it has reached pm.max_children = 20 5 times",
            ),
        ] {
            let (seen, said) = said(&pool, 0.0);
            assert!(seen == severity && said.contains(text), "{seen:?} {said:?}, not {severity:?} {text:?}");
        }
        let both = Pool { recent: Recent { lost: 3, ..Recent::default() }, ..full(30) };
        assert!(said(&both, 0.0).1.starts_with("all 20 workers"), "the worst");
    }

    fn overview(pools: Vec<Pool>) -> Overview {
        let reloads = Reloads { last: Some(1), last_successful: true, ..Reloads::default() };
        Overview { state: State::Serving, cores: 4, reloads, pools, ..Overview::default() }
    }

    fn diagnosed(mut overview: Overview) -> (Severity, String) {
        overview.diagnose();
        (overview.severity, overview.diagnosis)
    }

    #[test]
    fn calm_sentences() {
        let small =
            Pool { name: "small".to_owned(), workers: Workers { busy: 1, limit: 2, ..Workers::default() }, ..pool() };
        let idle = || Pool { workers: Workers { limit: 9, ..Workers::default() }, ..pool() };
        for (pools, text) in [
            (vec![pool()], "Pool shop serves and uses 4 of its 20 workers."),
            (vec![pool(), small], "All 2 pools serve; the busiest, small, uses 1 of its 2 workers."),
            (vec![idle(), idle()], "All 2 pools serve, and all are idle."),
        ] {
            assert_eq!(diagnosed(overview(pools)), (Ok, text.to_owned()));
        }
    }

    #[test]
    fn what_matters_most() {
        let failed = Reloads { last: Some(1), last_successful: false, ..Reloads::default() };
        let starting = || Pool { phase: PoolPhase::Starting, ..pool() };
        let with = |change: fn(&mut Overview)| {
            let mut overview = overview(vec![pool(), starting()]);
            change(&mut overview);
            overview
        };
        for (overview, severity, text) in [
            (with(|o| o.state = State::Hanging), Critical, "The supervisor hangs: its event loop"),
            (with(|o| o.state = State::Leaving), Warning, "php-fpm is stopping; 8 workers are at work."),
            (with(|o| o.state = State::Starting), Warning, "php-fpm is starting; 1 of 2 pools serve already."),
            (with(|_| {}), Critical, "Pool shop: it does not serve"),
            (overview(vec![starting(), starting()]), Critical, "No pool serves"),
            (
                overview(vec![full(3), recent(Recent { lost: 1, ..Recent::default() }), full(2)]),
                Warning,
                "2 other pools need attention, too.",
            ),
            (
                Overview { reloads: failed.clone(), ..overview(vec![pool()]) },
                Warning,
                "The last reload has failed, at least in part; the log says why. What served",
            ),
            (Overview { reloads: failed, ..overview(vec![full(300)]) }, Critical, "Pool shop: all 20"),
            (
                Overview { dropped: Dropped { recent_lines: 7, ..Dropped::default() }, ..overview(vec![pool()]) },
                Warning,
                "In the last minute 7 log lines were dropped",
            ),
            (Overview { state: State::Reloading, ..overview(vec![pool()]) }, Ok, "A reload is under way"),
        ] {
            let (seen, said) = diagnosed(overview);
            assert!(seen == severity && said.contains(text), "{seen:?} {said:?}, not {severity:?} {text:?}");
        }
    }

    #[test]
    fn the_worst_pool_is_the_first() {
        let named = |name: &str, pool: Pool| Pool { name: name.to_owned(), ..pool };
        let busy = Pool { workers: Workers { busy: 20, limit: 20, ..Workers::default() }, ..pool() };
        let mut all = overview(vec![
            named("b", pool()),
            named("a", pool()),
            named("z", busy),
            named("y", full(40)),
            named("x", full(2)),
        ]);
        all.diagnose();
        let names: Vec<&str> = all.pools.iter().map(|pool| pool.name.as_str()).collect();
        assert_eq!(names, ["y", "x", "z", "a", "b"]);
    }
}
