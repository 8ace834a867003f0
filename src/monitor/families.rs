//! The families of metrics. Each has all its samples from the start, with 0 where nothing was counted yet.

use super::exporters::of_former_exporter;
use super::group_families::of_groups;
use super::pool_numbers::Numbers;
use super::views::{Pool, Views};
use crate::metrics::{Exposition, Format, Kind};
use crate::plan::exit_reason::REASONS;
use crate::scoreboard::{BOUNDS, CLASSES, Counter, Fact, Histogram, bound};

/// The text of all metrics.
pub(super) fn render(views: &mut Views, php: &str, format: Format) -> String {
    let mut out = Exposition::new(format);
    of_service(&mut out, views, php);
    let pools = views.pools();
    of_workers(&mut out, &pools);
    of_requests(&mut out, &pools);
    of_groups(&mut out, &pools);
    of_former_exporter(&mut out, &pools);
    out.finish()
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of 285 years are exact")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn of_service(out: &mut Exposition, views: &Views, php: &str) {
    let fact = |fact| views.service.get(fact);
    out.family("phpfpm_build_info", Kind::Info, "Versions of cgi-fpm and of the PHP that it runs with.");
    out.sample(&[("version", env!("CARGO_PKG_VERSION")), ("php", php)], 1);
    out.family("phpfpm_start_time_seconds", Kind::Gauge, "When php-fpm has started, in seconds since 1970.");
    out.sample(&[], fact(Fact::Started));
    out.family("phpfpm_ready", Kind::Gauge, "Whether the start is complete and no stop has begun.");
    out.sample(&[], u8::from(fact(Fact::Ready) != 0 && fact(Fact::Leaving) == 0));
    out.family(
        "phpfpm_reloads_total",
        Kind::Counter,
        "Reloads by their result: success, partial (some groups keep their configuration), failure.",
    );
    let results = [("success", Fact::ReloadsDone), ("partial", Fact::ReloadsPartial), ("failure", Fact::ReloadsFailed)];
    results.into_iter().for_each(|(result, counter)| out.sample(&[("result", result)], fact(counter)));
    out.family("phpfpm_last_reload_successful", Kind::Gauge, "Whether all groups have followed the last reload.");
    out.sample(&[], u8::from(fact(Fact::ReloadFailed) == 0));
    out.family(
        "phpfpm_last_reload_timestamp_seconds",
        Kind::Gauge,
        "When the last reload has ended, in seconds since 1970; the start, if there was none.",
    );
    out.sample(&[], fact(Fact::ReloadEnded).max(fact(Fact::Started)));
    out.family(
        "phpfpm_log_lines_dropped_total",
        Kind::Counter,
        "Log lines that zygotes and workers have caused beyond what they may, and that were not logged.",
    );
    out.sample(&[], fact(Fact::LinesDropped));
    out.family(
        "phpfpm_output_bytes_dropped_total",
        Kind::Counter,
        "Bytes of what workers have written to stdout and stderr that were not logged, because it was too much.",
    );
    out.sample(&[], fact(Fact::OutputDropped));
    out.family("phpfpm_monitor_starts_total", Kind::Counter, "How many times the monitor was started.");
    out.sample(&[], fact(Fact::MonitorStarts));
}

/// A family with one sample for each pool.
fn each(
    out: &mut Exposition,
    pools: &[Pool<'_>],
    (name, kind, help): (&str, Kind, &str),
    value: impl Fn(&Pool<'_>) -> u64,
) {
    out.family(name, kind, help);
    pools.iter().for_each(|pool| out.sample(&[("pool", &pool.current.view.pool)], value(pool)));
}

/// A family with samples for each pool and each value of a label.
fn each_of<'a>(
    out: &mut Exposition,
    pools: &[Pool<'_>],
    (name, kind, help): (&str, Kind, &str),
    label: &str,
    values: impl Fn(&Pool<'_>) -> Vec<(&'a str, f64)>,
) {
    out.family(name, kind, help);
    for pool in pools {
        for (value, number) in values(pool) {
            out.sample(&[("pool", &pool.current.view.pool), (label, value)], number);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of workers")]
fn of_workers(out: &mut Exposition, pools: &[Pool<'_>]) {
    use Counter::{Limit, Starts, Wanted};
    out.family("phpfpm_pool_info", Kind::Info, "The group, the generation and the process manager of a pool.");
    for Pool { current, .. } in pools {
        let (view, generation) = (&current.view, current.view.generation.to_string());
        out.sample(
            &[("pool", &view.pool), ("group", &view.group), ("generation", &generation), ("pm", &view.manager)],
            1,
        );
    }
    each_of(
        out,
        pools,
        (
            "phpfpm_workers",
            Kind::Gauge,
            "Workers by what they do: busy and idle ones serve, starting ones do not serve yet, draining ones finish the requests of a former generation.",
        ),
        "state",
        |pool| {
            vec![
                ("busy", pool.counts.busy as f64),
                ("idle", pool.counts.idle as f64),
                ("starting", (pool.counts.starting + pool.coming) as f64),
                ("draining", pool.draining as f64),
            ]
        },
    );
    each(out, pools, ("phpfpm_workers_limit", Kind::Gauge, "pm.max_children."), |pool| pool.current.totals.get(Limit));
    each(out, pools, ("phpfpm_workers_wanted", Kind::Gauge, "How many workers the pool is to have now."), |pool| {
        pool.current.totals.get(Wanted)
    });
    each(out, pools, ("phpfpm_worker_starts_total", Kind::Counter, "Workers that were forked."), |pool| {
        pool.numbers.counter(Starts)
    });
    of_ends(out, pools);
}

#[allow(clippy::cast_precision_loss, reason = "counts of workers")]
fn of_ends(out: &mut Exposition, pools: &[Pool<'_>]) {
    use Counter::Lost;
    each_of(
        out,
        pools,
        ("phpfpm_worker_exits_total", Kind::Counter, "Workers that have ended, by reason."),
        "reason",
        |pool| {
            REASONS
                .iter()
                .map(|(reason, name)| (*name, pool.numbers.counter(Counter::of_exit(*reason as usize)) as f64))
                .collect()
        },
    );
    each(
        out,
        pools,
        ("phpfpm_requests_lost_total", Kind::Counter, "Requests inside workers that ended before they had answered."),
        |pool| pool.numbers.counter(Lost),
    );
    each_of(
        out,
        pools,
        (
            "phpfpm_worker_cpu_seconds_total",
            Kind::Counter,
            "CPU time of workers. A worker adds its time at the end of a request, at most once a second, and when it exits.",
        ),
        "mode",
        |pool| {
            [("user", Counter::CpuUser), ("system", Counter::CpuSystem)]
                .map(|(mode, counter)| (mode, seconds(pool.numbers.counter(counter))))
                .to_vec()
        },
    );
    of_memory(out, pools);
}

#[allow(clippy::cast_precision_loss, reason = "bytes of memory")]
fn of_memory(out: &mut Exposition, pools: &[Pool<'_>]) {
    use Counter::{MemoryPeak, Parked};
    each(
        out,
        pools,
        (
            "phpfpm_request_memory_peak_bytes",
            Kind::Gauge,
            "The most memory that PHP has taken for a request of the pool.",
        ),
        |pool| pool.numbers.counter(MemoryPeak),
    );
    each_of(
        out,
        pools,
        (
            "phpfpm_memory_bytes",
            Kind::Gauge,
            "Memory of workers: private is what only they use. A worker measures it at the end of a request, at most once a second.",
        ),
        "kind",
        |pool| vec![("private", pool.private as f64)],
    );
    each(
        out,
        pools,
        (
            "phpfpm_connections_parked_total",
            Kind::Counter,
            "Times that a worker handed an idle connection to its zygote.",
        ),
        |pool| pool.numbers.counter(Parked),
    );
}

#[allow(clippy::cast_precision_loss, reason = "counts of requests")]
fn of_requests(out: &mut Exposition, pools: &[Pool<'_>]) {
    each_of(
        out,
        pools,
        ("phpfpm_requests_total", Kind::Counter, "Requests that have ended, by the class of their HTTP status."),
        "code",
        |pool| {
            CLASSES.iter().zip(&pool.numbers.durations).map(|(class, times)| (*class, times.count() as f64)).collect()
        },
    );
    each_of(
        out,
        pools,
        (
            "phpfpm_requests_not_run_total",
            Kind::Counter,
            "Requests whose script did not run: incomplete forms, and clients that had gone.",
        ),
        "reason",
        |pool| {
            [("incomplete", Counter::Incomplete), ("abandoned", Counter::Abandoned)]
                .map(|(reason, counter)| (reason, pool.numbers.counter(counter) as f64))
                .to_vec()
        },
    );
    times(
        out,
        pools,
        ("phpfpm_request_duration_seconds", "From the first byte of a request until its script has ended."),
        |numbers| {
            let mut sum = Histogram::default();
            numbers.durations.iter().for_each(|class| sum.add(class));
            sum
        },
    );
    times(
        out,
        pools,
        (
            "phpfpm_queue_wait_seconds",
            "How long requests have waited until a worker took them: those with the parameter REQUEST_START, and the first ones of TCP connections.",
        ),
        |numbers| numbers.waits.clone(),
    );
}

fn times(
    out: &mut Exposition,
    pools: &[Pool<'_>],
    (name, help): (&str, &str),
    histogram: impl Fn(&Numbers) -> Histogram,
) {
    out.family(name, Kind::Histogram, help);
    for pool in pools {
        let (histogram, labels) = (histogram(&pool.numbers), [("pool", pool.current.view.pool.as_str())]);
        let mut sum = 0_u64;
        for (at, count) in histogram.counts.iter().enumerate() {
            sum = sum.wrapping_add(*count);
            out.bucket(&labels, (at < BOUNDS).then(|| bound(at)), sum);
        }
        out.end_buckets(&labels, seconds(histogram.sum), sum);
    }
}
