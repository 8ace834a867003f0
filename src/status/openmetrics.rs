//! The status page for Prometheus: php-fpm's metric names, types and order, after two metrics of our own about the pool's group.
//! Programs that know php-fpm's page may expect its metrics without others between them.

use super::snapshot::{Group, Snapshot};
use crate::escape;

/// Name after `phpfpm_`, type, help.
const METRICS: [(&str, &str, &str); 14] = [
    ("start_since", "counter", "The number of seconds since FPM has started."),
    ("accepted_connections", "counter", "The number of requests accepted by the pool."),
    ("listen_queue", "gauge", "The number of requests in the queue of pending connections."),
    (
        "max_listen_queue",
        "counter",
        "The maximum number of requests in the queue of pending connections since FPM has started.",
    ),
    (TYPE_FIRST, "gauge", "The size of the socket queue of pending connections."),
    ("idle_processes", "gauge", "The number of idle processes."),
    ("active_processes", "gauge", "The number of active processes."),
    ("total_processes", "gauge", "The number of idle + active processes."),
    ("max_active_processes", "counter", "The maximum number of active processes since FPM has started."),
    (
        "max_children_reached",
        "counter",
        "The number of times, the process limit has been reached, when pm tries to start more children (works only for pm 'dynamic' and 'ondemand').",
    ),
    ("slow_requests", "counter", "The number of requests that exceeded your 'request_slowlog_timeout' value."),
    ("memory_peak", "gauge", "The memory usage peak since FPM has started."),
    ("incomplete_forms", "counter", "The number of forms that were cut off, so that their scripts didn't run."),
    (
        "abandoned_requests",
        "counter",
        "The number of requests that were dropped because their clients had gone while they waited.",
    ),
];

/// The one metric whose type php-fpm writes before its help.
const TYPE_FIRST: &str = "listen_queue_length";

pub(super) fn render(pool: &Snapshot) -> Vec<u8> {
    let values = [
        Some(pool.now.saturating_sub(pool.started)),
        Some(pool.requests),
        Some(pool.queue),
        Some(pool.queue_max),
        Some(pool.queue_limit),
        Some(pool.idle),
        Some(pool.active),
        Some(pool.idle + pool.active),
        Some(pool.active_max),
        Some(pool.limit_reached),
        Some(pool.slow),
        pool.memory_peak,
        Some(pool.incomplete).filter(|count| *count > 0),
        Some(pool.abandoned).filter(|count| *count > 0),
    ];
    let mut out = pool.group.as_ref().map_or_else(String::new, of_group);
    out.push_str(&format!(
        "# HELP phpfpm_up Could pool {} using a {} PM on PHP-FPM be reached?\n# TYPE phpfpm_up gauge\nphpfpm_up 1\n",
        escape::line(pool.pool.as_bytes()),
        pool.manager
    ));
    for ((name, kind, help), value) in METRICS.into_iter().zip(values) {
        let Some(value) = value else { continue };
        let (help, kind) = (format!("# HELP phpfpm_{name} {help}\n"), format!("# TYPE phpfpm_{name} {kind}\n"));
        let (first, second) = if name == TYPE_FIRST { (kind, help) } else { (help, kind) };
        out.push_str(&format!("{first}{second}phpfpm_{name} {value}\n"));
    }
    out.push_str("# EOF\n");
    out.into_bytes()
}

fn of_group(group: &Group) -> String {
    let [name, php] = [&group.name, &group.php].map(|text| label(text));
    let Group { generation, outdated, .. } = group;
    format!(
        "# HELP phpfpm_group_info The PHP and the generation of the pool's group.\n\
         # TYPE phpfpm_group_info gauge\n\
         phpfpm_group_info{{group=\"{name}\",php=\"{php}\",generation=\"{generation}\"}} 1\n\
         # HELP phpfpm_group_outdated Whether the last reload could not change the pool's group.\n\
         # TYPE phpfpm_group_outdated gauge\n\
         phpfpm_group_outdated{{group=\"{name}\"}} {}\n",
        u8::from(*outdated)
    )
}

/// A text as the value of a label.
fn label(text: &str) -> String {
    escape::line(text.as_bytes()).replace('\\', r"\\").replace('"', "\\\"")
}
