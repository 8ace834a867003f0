//! The names of other exporters.

use super::views::Pool;
use crate::metrics::{Exposition, Kind, Label};
use crate::scoreboard::Counter;
use crate::sys::clock;

/// The names of hipages/php-fpm_exporter, so that its dashboards and alerts go on.
pub(super) fn of_former_exporter(out: &mut Exposition, pools: &[Pool<'_>]) {
    use Counter::{ActiveMax, LimitReached, Queue, QueueLimit, QueueMax, Requests, Slow, Started};
    let now = clock::wall_seconds();
    let mut each = |name: &str, kind, help: &str, value: &dyn Fn(&Pool<'_>) -> u64| {
        out.family(name, kind, help);
        for pool in pools {
            let view = &pool.current.view;
            let labels: [Label<'_>; 2] = [("pool", &view.pool), ("scrape_uri", &view.address)];
            out.sample(&labels, value(pool));
        }
    };
    let (counter, gauge) = (Kind::FormerCounter, Kind::Gauge);
    let active = |pool: &Pool<'_>| pool.counts.busy;
    let idle = |pool: &Pool<'_>| pool.counts.idle;
    each("phpfpm_up", gauge, "Whether a generation of the pool serves.", &|pool| u64::from(pool.is_up()));
    each("phpfpm_start_since", counter, "The number of seconds since the pool has started.", &|pool| {
        now.saturating_sub(pool.current.totals.get(Started))
    });
    each("phpfpm_accepted_connections", counter, "The number of requests accepted by the pool.", &|pool| {
        pool.numbers.counter(Requests)
    });
    each("phpfpm_listen_queue", gauge, "The number of connections that wait to be accepted.", &|pool| {
        pool.current.totals.get(Queue)
    });
    each("phpfpm_max_listen_queue", counter, "The highest number of connections that have waited.", &|pool| {
        pool.numbers.counter(QueueMax)
    });
    each("phpfpm_listen_queue_length", gauge, "How many connections may wait.", &|pool| {
        pool.current.totals.get(QueueLimit)
    });
    each("phpfpm_idle_processes", gauge, "The number of idle workers.", &idle);
    each("phpfpm_active_processes", gauge, "The number of busy workers.", &active);
    each("phpfpm_total_processes", gauge, "The number of idle and busy workers.", &|pool| active(pool) + idle(pool));
    each("phpfpm_max_active_processes", counter, "The highest number of busy workers.", &|pool| {
        pool.numbers.counter(ActiveMax)
    });
    each(
        "phpfpm_max_children_reached",
        counter,
        "How many times pm.max_children kept the pool from growing.",
        &|pool| pool.numbers.counter(LimitReached),
    );
    each("phpfpm_slow_requests", counter, "Requests that took longer than request_slowlog_timeout.", &|pool| {
        pool.numbers.counter(Slow)
    });
}
