//! What `php-fpm top` shows, as lines for a terminal of some width. No I/O. All texts come from the monitor, which nobody need trust.

use super::numbers::{age, clip, columns, count, plain, rate, share, time, wrap};
use super::table::{Cell, Column, Line, Look, Table};
use crate::overview::{Overview, Pool, PoolDetail, PoolPhase, Running, Slot, SlotState, State};

/// What the monitor has said.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) overview: Overview,
    /// With `--pool`.
    pub(super) detail: Option<PoolDetail>,
}

/// All lines.
pub(super) fn lines(seen: &Seen, width: usize) -> Vec<Line> {
    let overview = &seen.overview;
    let mut lines = vec![(clip(&title(overview), width), Look::Heading)];
    lines.extend(wrap(&plain(&overview.diagnosis), width).into_iter().map(|line| (line, overview.severity.into())));
    lines.push((clip(&window(overview), width), Look::Plain));
    lines.push((String::new(), Look::Plain));
    match &seen.detail {
        None => {
            lines.extend(pools(&overview.pools, width));
            lines.extend(events(overview, width));
        }
        Some(detail) => {
            lines.extend(pools(std::slice::from_ref(&detail.pool), width));
            if let Some(diagnosis) = &detail.pool.diagnosis {
                lines
                    .extend(wrap(&plain(diagnosis), width).into_iter().map(|line| (line, detail.pool.severity.into())));
            }
            lines.extend(requests(detail, width));
            lines.extend(workers(detail, width));
        }
    }
    lines
}

fn title(overview: &Overview) -> String {
    let state = match overview.state {
        State::Starting => "starting",
        State::Serving => "serving",
        State::Reloading => "reloading",
        State::Leaving => "stopping",
        State::Hanging => "hanging",
    };
    let (version, php) = (plain(&overview.version), plain(&overview.php));
    let up = age(overview.now - seconds(overview.started));
    let reload = match overview.reloads.last {
        None => "no reload yet".to_owned(),
        Some(at) => {
            let failed = if overview.reloads.last_successful { "" } else { " (failed)" };
            format!("last reload {} ago{failed}", age(overview.now - seconds(at)))
        }
    };
    format!("php-fpm {version} (PHP {php}) {state}, up {up}, {reload}")
}

#[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are exact")]
fn seconds(whole: u64) -> f64 {
    whole as f64
}

fn window(overview: &Overview) -> String {
    format!("Rates and times of the last {}.", age(overview.window_seconds))
}

const POOLS: [Column; 12] = [
    Column { title: "POOL", width: 12, most: 32, is_text: true, goes: 0 },
    Column { title: "WORKERS", width: 8, most: 24, is_text: true, goes: 10 },
    Column { title: "BUSY", width: 9, most: 9, is_text: false, goes: 0 },
    Column { title: "WAIT", width: 4, most: 4, is_text: false, goes: 1 },
    Column { title: "REQ/S", width: 5, most: 5, is_text: false, goes: 2 },
    Column { title: "P50", width: 5, most: 5, is_text: false, goes: 8 },
    Column { title: "P95", width: 5, most: 5, is_text: false, goes: 3 },
    Column { title: "P99", width: 5, most: 5, is_text: false, goes: 7 },
    Column { title: "5XX", width: 4, most: 4, is_text: false, goes: 4 },
    Column { title: "CPU", width: 4, most: 4, is_text: false, goes: 6 },
    Column { title: "SLOW", width: 4, most: 4, is_text: false, goes: 9 },
    Column { title: "LOST", width: 4, most: 4, is_text: false, goes: 5 },
];

fn pools(pools: &[Pool], width: usize) -> Vec<Line> {
    let rows = pools.iter().map(|pool| (pool_cells(pool), pool.severity.into())).collect();
    Table { columns: &POOLS, rows }.lines(width)
}

fn pool_cells(pool: &Pool) -> Vec<Cell> {
    let of = |percentile: fn(&crate::overview::Durations) -> f64| {
        Cell::Text(pool.duration.as_ref().map_or_else(|| "-".to_owned(), |times| time(percentile(times))))
    };
    let (busy, limit) = (pool.workers.busy, pool.workers.limit);
    let name = match pool.phase {
        PoolPhase::Serving => plain(&pool.name),
        PoolPhase::Starting => format!("{} (starts)", plain(&pool.name)),
        PoolPhase::Draining => format!("{} (ends)", plain(&pool.name)),
    };
    vec![
        Cell::Text(name),
        Cell::Bar { used: busy, idle: pool.workers.idle, limit },
        Cell::Text(format!("{}/{}", count(busy), count(limit))),
        Cell::Text(count(pool.queue.waiting)),
        Cell::Text(rate(pool.requests.per_second)),
        of(|times| times.p50),
        of(|times| times.p95),
        of(|times| times.p99),
        Cell::Text(share(pool.requests.error_share)),
        Cell::Text(rate(pool.cpu)),
        Cell::Text(count(pool.slow)),
        Cell::Text(count(pool.lost)),
    ]
}

/// The last things that have happened.
fn events(overview: &Overview, width: usize) -> Vec<Line> {
    const MOST: usize = 5;
    let mut lines = Vec::new();
    for event in overview.events.iter().take(MOST) {
        let pool = event.pool.as_deref().map_or_else(String::new, |pool| format!("pool {}: ", plain(pool)));
        let text = format!("{:>8} ago  {pool}{}", age(overview.now - event.at), plain(&event.text));
        lines.push((clip(&text, width), event.severity.into()));
    }
    if !lines.is_empty() {
        lines.insert(0, (String::new(), Look::Plain));
    }
    lines
}

const REQUESTS: [Column; 6] = [
    Column { title: "TIME", width: 6, most: 6, is_text: false, goes: 0 },
    Column { title: "SLOT", width: 4, most: 4, is_text: false, goes: 3 },
    Column { title: "PID", width: 8, most: 8, is_text: false, goes: 2 },
    Column { title: "METHOD", width: 7, most: 7, is_text: true, goes: 1 },
    Column { title: "URI", width: 24, most: 400, is_text: true, goes: 0 },
    Column { title: "SCRIPT", width: 24, most: 400, is_text: true, goes: 4 },
];

fn requests(detail: &PoolDetail, width: usize) -> Vec<Line> {
    let mut lines = vec![(String::new(), Look::Plain)];
    let plain_line = |text: &str| wrap(text, width).into_iter().map(|line| (line, Look::Plain));
    match detail.running.as_deref() {
        None => lines.extend(plain_line("Running requests are not shown: that needs monitor.show_requests = yes.")),
        Some([]) => lines.extend(plain_line("No request runs.")),
        Some(running) => {
            let rows = running.iter().map(|one| (request_cells(one), Look::Plain)).collect();
            lines.extend(Table { columns: &REQUESTS, rows }.lines(width));
        }
    }
    lines
}

fn request_cells(request: &Running) -> Vec<Cell> {
    let Running { slot, pid, seconds, method, uri, script, .. } = request;
    let texts = [time(*seconds), slot.to_string(), pid.to_string(), plain(method), plain(uri), plain(script)];
    texts.map(Cell::Text).to_vec()
}

const WORKERS: [Column; 6] = [
    Column { title: "SLOT", width: 4, most: 4, is_text: false, goes: 0 },
    Column { title: "PID", width: 8, most: 8, is_text: false, goes: 0 },
    Column { title: "STATE", width: 9, most: 9, is_text: true, goes: 0 },
    Column { title: "FOR", width: 6, most: 6, is_text: false, goes: 0 },
    Column { title: "REQUESTS", width: 8, most: 8, is_text: false, goes: 1 },
    Column { title: "GENERATION", width: 10, most: 10, is_text: false, goes: 2 },
];

fn workers(detail: &PoolDetail, width: usize) -> Vec<Line> {
    let mut slots: Vec<&Slot> = detail.slots.iter().collect();
    // First those that work, the longest first.
    let rests = |slot: &Slot| matches!(slot.state, SlotState::Idle | SlotState::Starting);
    slots.sort_by(|a, b| rests(a).cmp(&rests(b)).then_with(|| b.since.total_cmp(&a.since)));
    let rows = slots.iter().map(|slot| (worker_cells(slot), Look::Plain)).collect();
    let mut lines = vec![(String::new(), Look::Plain)];
    lines.extend(Table { columns: &WORKERS, rows }.lines(width));
    if detail.slots_left_out > 0 {
        lines.push((clip(&format!("and {} more workers", detail.slots_left_out), width), Look::Plain));
    }
    lines
}

fn worker_cells(slot: &Slot) -> Vec<Cell> {
    let state = match slot.state {
        SlotState::Starting => "starting",
        SlotState::Idle => "idle",
        SlotState::Reading => "reading",
        SlotState::Running => "running",
        SlotState::Ending => "ending",
        SlotState::Finishing => "finishing",
    };
    let texts = [
        slot.slot.to_string(),
        slot.pid.to_string(),
        state.to_owned(),
        time(slot.since),
        slot.requests.to_string(),
        slot.generation.to_string(),
    ];
    texts.map(Cell::Text).to_vec()
}

/// At most so many lines; the last one then says that there are more.
pub(super) fn fitted(mut lines: Vec<Line>, height: usize, width: usize) -> Vec<Line> {
    if lines.len() > height {
        let left = lines.len() - height.saturating_sub(1);
        lines.truncate(height.saturating_sub(1));
        lines.push((clip(&format!("... {left} more lines"), width), Look::Plain));
    }
    debug_assert!(lines.iter().all(|(line, _)| columns(line) <= width));
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::overview::{Durations, Event, Queue, Requests, Severity, Workers};

    fn pool(name: &str) -> Pool {
        Pool {
            name: name.to_owned(),
            phase: PoolPhase::Serving,
            workers: Workers { busy: 4, idle: 3, limit: 8, ..Workers::default() },
            queue: Queue { waiting: 2, limit: 511 },
            requests: Requests { per_second: 8.3, error_share: 0.126, ..Requests::default() },
            duration: Some(Durations { p50: 0.0042, p95: 0.1, p99: 1.5 }),
            cpu: 0.35,
            slow: 3,
            lost: 12_000,
            ..Pool::default()
        }
    }

    fn overview(pools: Vec<Pool>) -> Overview {
        Overview {
            state: State::Serving,
            diagnosis: "Pool shop serves and uses 4 of its 8 workers.".to_owned(),
            now: 1_796_100_000.5,
            started: 1_796_090_000,
            version: "0.2.0".to_owned(),
            php: "8.2.32".to_owned(),
            window_seconds: 15.2,
            pools,
            ..Overview::default()
        }
    }

    fn shown(seen: &Seen, width: usize) -> Vec<String> {
        lines(seen, width).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn a_table_at_80_columns() {
        let mut overview = overview(vec![pool("shop"), pool("a_name_that_is_too_long")]);
        overview.events = vec![Event {
            at: overview.now - 62.0,
            severity: Severity::Warning,
            pool: Some("shop".to_owned()),
            text: "3 workers crashed".to_owned(),
            ..Event::default()
        }];
        let seen = Seen { overview, detail: None };
        let all = shown(&seen, 80);
        assert_eq!(
            all,
            [
                "php-fpm 0.2.0 (PHP 8.2.32) serving, up 2h 46m, no reload yet",
                "Pool shop serves and uses 4 of its 8 workers.",
                "Rates and times of the last 15s.",
                "",
                "POOL         WORKERS       BUSY WAIT REQ/S   P50   P95   P99  5XX  CPU SLOW LOST",
                "shop         ####---.       4/8    2   8.3 4.2ms 100ms 1.50s  13%  0.3    3  12k",
                "a_name_that~ ####---.       4/8    2   8.3 4.2ms 100ms 1.50s  13%  0.3    3  12k",
                "",
                "   1m 2s ago  pool shop: 3 workers crashed",
            ]
        );
        assert!(shown(&seen, 120).iter().any(|line| line.starts_with("a_name_that_is_too_long #")));
        let narrow = shown(&seen, 40);
        assert!(narrow.iter().any(|line| line.ends_with("BUSY WAIT REQ/S   P95")), "{narrow:#?}");
    }

    #[test]
    fn a_pool_with_its_requests() {
        let running = Running {
            slot: 3,
            pid: 1240,
            seconds: 2.1,
            method: "GET".to_owned(),
            uri: "/x?\u{1b}[2J\u{9b}".to_owned() + &"y".repeat(300),
            script: "/srv/x.php".to_owned(),
            ..Running::default()
        };
        let slots = vec![
            Slot { slot: 1, state: SlotState::Idle, since: 9.0, ..Slot::default() },
            Slot { slot: 3, state: SlotState::Running, since: 2.1, ..Slot::default() },
        ];
        let mut detail = PoolDetail { pool: pool("shop"), slots, running: Some(vec![running]), slots_left_out: 7 };
        let seen = |detail: &PoolDetail| Seen { overview: overview(vec![pool("shop")]), detail: Some(detail.clone()) };
        let all = shown(&seen(&detail), 80);
        assert!(all.iter().all(|line| columns(line) <= 80 && !line.contains(crate::escape::steers)), "{all:#?}");
        assert!(
            all.iter().any(|line| line.starts_with(" 2.10s    3     1240 GET     /x?\\x1B[2J\\xC2\\x9Byy")),
            "{all:#?}"
        );
        let at = |word: &str| all.iter().position(|line| line.contains(word));
        assert!(at("running") < at("idle") && all.contains(&"and 7 more workers".to_owned()), "{all:#?}");
        detail.running = None;
        assert!(shown(&seen(&detail), 80).iter().any(|line| line.contains("monitor.show_requests = yes")));
    }

    #[test]
    fn a_low_terminal_says_that_there_is_more() {
        let seen = Seen { overview: overview((0..50).map(|n| pool(&format!("p{n}"))).collect()), detail: None };
        let few = fitted(lines(&seen, 80), 24, 80);
        assert_eq!((few.len(), few[23].0.as_str()), (24, "... 32 more lines"));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            name in "\\PC{0,50}", text in ".{0,200}", width in 10_usize..200, busy: u64, seconds in -1e18_f64..1e18,
        ) {
            let mut one = pool(&name);
            one.workers = Workers { busy, idle: busy, limit: busy / 2, ..Workers::default() };
            (one.cpu, one.requests.per_second, one.diagnosis) = (seconds, seconds, Some(text.clone()));
            let mut overview = overview(vec![one.clone()]);
            (overview.now, overview.diagnosis, overview.php) = (seconds, text.clone(), text.clone());
            overview.events = vec![Event { at: -seconds, pool: Some(text.clone()), text: text.clone(), ..Event::default() }];
            let running = Running { method: text.clone(), uri: text.clone(), script: text, seconds, pid: busy, ..Running::default() };
            let slots = vec![Slot { pid: busy, since: seconds, requests: busy, ..Slot::default() }];
            let detail = PoolDetail { pool: one, slots, running: Some(vec![running]), slots_left_out: busy };
            for detail in [None, Some(detail)] {
                for (line, _) in lines(&Seen { overview: overview.clone(), detail }, width) {
                    prop_assert!(columns(&line) <= width, "{}: {line:?}", columns(&line));
                    prop_assert!(!line.contains(crate::escape::steers), "{line:?}");
                }
            }
        }
    }
}
