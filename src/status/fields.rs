//! The fields of the status page in order: one list for a pool, one for a worker. All formats use them.

use super::snapshot::{Process, Snapshot, state};

/// A value, by how it is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A fixed word of this program; needs no escaping.
    Word(&'static str),
    /// Bytes from a client or a script.
    Text(Vec<u8>),
    /// A path or a URI with its query, from a client. php-fpm's JSON escapes its slashes.
    Uri(Vec<u8>),
    /// A whole number.
    Number(u64),
    /// Written with two decimals.
    Decimal(f64),
    /// Seconds since 1970; a date in text and HTML, a number elsewhere.
    Moment(u64),
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Words; XML and `fpm_get_status()` put hyphens between them.
    pub name: &'static str,
    /// The value.
    pub value: Value,
}

fn field(name: &'static str, value: Value) -> Field {
    Field { name, value }
}

/// The fields of a pool.
#[must_use]
pub fn of_pool(pool: &Snapshot) -> Vec<Field> {
    let number = |name, value| field(name, Value::Number(value));
    let mut fields = vec![
        field("pool", Value::Text(pool.pool.clone().into_bytes())),
        field("process manager", Value::Word(pool.manager)),
        field("start time", Value::Moment(pool.started)),
        number("start since", pool.now.saturating_sub(pool.started)),
        number("accepted conn", pool.requests),
        number("listen queue", pool.queue),
        number("max listen queue", pool.queue_max),
        number("listen queue len", pool.queue_limit),
        number("idle processes", pool.idle),
        number("active processes", pool.active),
        number("total processes", pool.idle + pool.active),
        number("max active processes", pool.active_max),
        number("max children reached", pool.limit_reached),
        number("slow requests", pool.slow),
    ];
    fields.extend(pool.memory_peak.map(|peak| number("memory peak", peak)));
    fields.extend((pool.incomplete > 0).then(|| number("incomplete forms", pool.incomplete)));
    fields.extend((pool.abandoned > 0).then(|| number("abandoned requests", pool.abandoned)));
    fields
}

/// The fields of a worker. `now`: seconds since 1970.
#[must_use]
pub fn of_process(process: &Process, now: u64) -> Vec<Field> {
    let number = |name, value| field(name, Value::Number(value));
    let or_dash = |text: &[u8]| if text.is_empty() { b"-".to_vec() } else { text.to_vec() };
    vec![
        number("pid", process.pid),
        field("state", Value::Word(state(process.stage))),
        field("start time", Value::Moment(process.started)),
        number("start since", now.saturating_sub(process.started)),
        number("requests", process.requests),
        number("request duration", process.duration),
        field("request method", Value::Text(or_dash(&process.method))),
        field("request uri", Value::Uri(uri_with_query(process))),
        number("content length", process.content_length),
        field("user", Value::Text(or_dash(&process.user))),
        field("script", Value::Text(or_dash(&process.script))),
        field("last request cpu", Value::Decimal(process.cpu)),
        number("last request memory", process.memory),
    ]
}

fn uri_with_query(process: &Process) -> Vec<u8> {
    let mut uri = if process.uri.is_empty() { b"-".to_vec() } else { process.uri.clone() };
    if !process.query.is_empty() {
        uri.push(b'?');
        uri.extend_from_slice(&process.query);
    }
    uri
}
