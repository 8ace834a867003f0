//! What the placeholders of the templates stand for. page.js has the same.

use serde::Serialize;

use super::format::{area, bytes, cores, count, fixed, iso, line, rate, share, span, time};
use super::template::Values;
use crate::escape::without_directions;
use crate::overview::{Dropped, Durations, Event, Overview, Pool, Reloads, Running, Slot, State};

/// The class of what is shown if there is a text.
fn shown(text: &str) -> String {
    if text.is_empty() { "none" } else { "" }.to_owned()
}

/// The class of a figure.
fn zero_or(number: f64, word: &str) -> String {
    if number > 0.0 { word } else { "zero" }.to_owned()
}

/// The top of the page.
#[allow(clippy::cast_precision_loss, reason = "seconds")]
pub(super) fn head(all: &Overview) -> Values {
    let reason = all.reason.clone().unwrap_or_default();
    let dropped = dropped(&all.dropped);
    vec![
        ("diagnosis", all.diagnosis.clone()),
        ("reason_of", reason_of(all.state).to_owned()),
        ("reason_shown", shown(&reason)),
        ("reason", reason),
        ("uptime", span(all.now - all.started as f64)),
        ("reload", reload(&all.reloads, all.now)),
        ("dropped_shown", shown(&dropped)),
        ("dropped", dropped),
        ("php", all.php.clone()),
        ("version", all.version.clone()),
    ]
}

/// What the reason is about: the sentence above it may be about something else.
fn reason_of(state: State) -> &'static str {
    if state == State::Hanging { "It hangs" } else { "Last reload" }
}

#[allow(clippy::cast_precision_loss, reason = "seconds")]
fn reload(reloads: &Reloads, now: f64) -> String {
    match reloads.last {
        None => "no reload yet".to_owned(),
        Some(at) if reloads.last_successful => format!("last reload {} ago", span(now - at as f64)),
        Some(at) => format!("last reload {} ago, not successful", span(now - at as f64)),
    }
}

fn dropped(dropped: &Dropped) -> String {
    let lines = Some(format!("{} log lines", count(dropped.log_lines))).filter(|_| dropped.log_lines > 0);
    let output = Some(format!("{} of output", bytes(dropped.output_bytes))).filter(|_| dropped.output_bytes > 0);
    match lines.into_iter().chain(output).collect::<Vec<_>>().join(" and ") {
        nothing if nothing.is_empty() => nothing,
        what => format!("{what} dropped"),
    }
}

fn times(all: Option<&Durations>) -> [String; 3] {
    all.map_or_else(|| std::array::from_fn(|_| "–".to_owned()), |all| [all.p50, all.p95, all.p99].map(time))
}

/// The word that JSON has for it.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// A pool: a row of the table, or its own page.
#[allow(clippy::cast_precision_loss, reason = "numbers of workers")]
pub(super) fn pool(one: &Pool) -> Values {
    let (severity, phase) = (word(&one.severity), word(&one.phase));
    let remark = match (severity.as_str(), phase.as_str()) {
        ("ok", "serving") => String::new(),
        ("ok", _) => phase.clone(),
        _ => severity.clone(),
    };
    let why = one.diagnosis.clone().unwrap_or_default();
    let mut values = vec![
        ("name", one.name.clone()),
        ("path", path(&one.name)),
        ("severity", severity),
        ("word_shown", shown(&remark)),
        ("word", remark),
        ("group", one.group.clone()),
        ("manager", one.manager.clone()),
        ("address", one.address.clone()),
        ("generation", count(one.generation.into())),
        ("phase", phase),
        ("why_shown", shown(&why)),
        ("why", why),
    ];
    values.extend(workers(one));
    values.extend(requests(one));
    values
}

#[allow(clippy::cast_precision_loss, reason = "numbers of workers")]
fn workers(one: &Pool) -> Values {
    let workers = &one.workers;
    let part = |number: u64| match workers.limit {
        0 => 0.0,
        limit => (number as f64 / limit as f64).min(1.0) * 100.0,
    };
    let busy = part(workers.busy);
    let in_use = match busy {
        b if b >= 100.0 => "full",
        b if b >= 80.0 => "high",
        _ => "low",
    };
    vec![
        ("busy", count(workers.busy)),
        ("limit", count(workers.limit)),
        ("idle", count(workers.idle)),
        ("starting", count(workers.starting)),
        ("wanted", count(workers.wanted)),
        ("draining", count(workers.draining)),
        ("busy_width", fixed(busy, 1)),
        ("idle_width", fixed(part(workers.idle).min(100.0 - busy), 1)),
        ("use", in_use.to_owned()),
        ("memory", bytes(one.memory_peak)),
        ("cpu", cores(one.cpu)),
    ]
}

#[allow(clippy::cast_precision_loss, reason = "for a comparison with 0")]
fn requests(one: &Pool) -> Values {
    let ([p50, p95, p99], [wait50, wait95, wait99]) = (times(one.duration.as_ref()), times(one.wait.as_ref()));
    vec![
        ("rate", rate(one.requests.per_second)),
        ("line", line(&one.history)),
        ("area", area(&one.history)),
        ("waiting", count(one.queue.waiting)),
        ("waiting_is", zero_or(one.queue.waiting as f64, "some")),
        ("p50", p50),
        ("p95", p95),
        ("p99", p99),
        ("wait50", wait50),
        ("wait95", wait95),
        ("wait99", wait99),
        ("errors", share(one.requests.error_share)),
        ("errors_is", zero_or(one.requests.error_share, if one.requests.error_share < 0.01 { "some" } else { "bad" })),
        ("slow", count(one.slow)),
        ("slow_is", zero_or(one.slow as f64, "some")),
        ("lost", count(one.lost)),
        ("lost_is", zero_or(one.lost as f64, "bad")),
        ("reached", count(one.limit_reached)),
        ("reached_is", zero_or(one.limit_reached as f64, "some")),
    ]
}

/// An event.
pub(super) fn event(one: &Event) -> Values {
    let iso = iso(one.at);
    vec![
        ("severity", word(&one.severity)),
        ("when", iso.replace('T', " ").replace('Z', "")),
        ("iso", iso),
        ("pool", one.pool.clone().unwrap_or_default()),
        ("text", without_directions(&one.text)),
    ]
}

/// A name as a part of a path, as JavaScript's `encodeURIComponent` writes it.
fn path(name: &str) -> String {
    let coded = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    name.bytes().map(coded).collect()
}

/// A worker.
pub(super) fn slot(one: &Slot) -> Values {
    let state = word(&one.state);
    let letter = match state.as_str() {
        "idle" => "I",
        "reading" => "A",
        "running" => "R",
        "finishing" => "F",
        "ending" => "E",
        "starting" => "S",
        _ => "?",
    };
    let (since, requests) = (time(one.since), count(one.requests));
    let about = format!("slot {}, process {}: {state} for {since}, {requests} requests", one.slot, one.pid);
    vec![
        ("word", state.clone()),
        ("state", state),
        ("letter", letter.to_owned()),
        ("key", format!("{}.{}", one.generation, one.slot)),
        ("slot", count(one.slot.into())),
        ("pid", one.pid.to_string()),
        ("since", since),
        ("requests", requests),
        ("about", about),
    ]
}

/// What is said of workers that are not told.
pub(super) fn left_out(number: u64) -> String {
    if number > 0 { format!("and {} more workers", count(number)) } else { String::new() }
}

/// A request that runs.
pub(super) fn request(one: &Running) -> Values {
    let id = without_directions(one.id.as_deref().unwrap_or_default());
    vec![
        ("time", time(one.seconds)),
        ("method", without_directions(&one.method)),
        ("uri", without_directions(&one.uri)),
        ("script", without_directions(&one.script)),
        ("pid", one.pid.to_string()),
        ("id_shown", shown(&id)),
        ("id", id),
    ]
}

/// A count with its name. `bad`: it should be 0.
#[allow(clippy::cast_precision_loss, reason = "for a comparison with 0")]
pub(super) fn sum(name: &str, number: u64, bad: bool) -> Values {
    let about = match name {
        "max_requests" => "pm.max_requests",
        "max_memory" => "pm.max_memory",
        "idle" => "the pool needed fewer",
        "reload" => "a reload or a stop",
        "crash" => "a signal such as SIGSEGV",
        "timeout" => "request_terminate_timeout",
        "oom" => "the kernel had no memory left",
        _ => "",
    };
    vec![
        ("name", name.replacen('_', " ", 1)),
        ("about", about.to_owned()),
        ("count", count(number)),
        ("count_is", zero_or(number as f64, if bad { "bad" } else { "some" })),
    ]
}
