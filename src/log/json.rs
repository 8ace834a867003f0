//! The JSON form of a line: `{"time":"2026-11-23T10:00:00.000001Z","level":"notice","message":"fpm is running, pid 1"}`.

use serde::{Deserialize, Serialize};

use super::Level;
use crate::json;
use crate::request_ids::{RequestId, RequestIds, SpanId, TraceId};
use crate::sys::clock;

/// Bytes of a worker's message in one object at most. Longer messages get several objects, all but the last with `continues`.
pub const BOUND: usize = 64 * 1024;

/// Which process a line is about, or which process wrote it, as far as that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct About<'a> {
    /// Its pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<&'a str>,
    /// Its group, for a zygote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<&'a str>,
    /// Its pid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// `stdout` or `stderr`, where the line is what it wrote there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<&'a str>,
    /// The next object of this stream continues the message.
    #[serde(skip_serializing_if = "is_false")]
    pub continues: bool,
    /// The process has closed the stream after this text.
    #[serde(skip_serializing_if = "is_false")]
    pub closed: bool,
    /// The request.
    #[serde(flatten)]
    pub request: OfRequest,
}

/// The request that a line is about, as fields of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OfRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<SpanId>,
}

impl OfRequest {
    /// These ids; all absent if there are none.
    #[must_use]
    pub fn new(ids: Option<&RequestIds>) -> Self {
        let trace = ids.and_then(|ids| ids.trace);
        Self {
            request_id: ids.map(|ids| ids.request),
            trace_id: trace.map(|context| context.trace),
            span_id: trace.map(|context| context.span),
        }
    }
}

/// serde passes the field by reference.
fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    level: &'static str,
    message: &'a str,
    #[serde(flatten)]
    about: &'a About<'a>,
    /// Names of the fields whose bytes weren't UTF-8.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    escaped: &'a [&'static str],
}

/// A message that a worker itself logs, on its way to the supervisor. A line with any other field is output of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Its level.
    #[serde(with = "level_name")]
    pub level: Level,
    /// The text, with its newlines.
    pub message: String,
    /// The next line continues the message.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continues: bool,
    /// The text was not UTF-8.
    #[serde(default, skip_serializing_if = "is_false")]
    pub escaped: bool,
    /// The id of the request that it was logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// Its trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// Its span in the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
}

impl<'a> About<'a> {
    /// Reads the beginning of a line of the supervisor: `[pool www] child 7 …`, `[group www] zygote 7 …`.
    pub(super) fn text(text: &'a [u8]) -> Self {
        let text = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let named = |kind: &str| text.strip_prefix(kind).and_then(|rest| rest.split_once("] "));
        let pid = |rest: &str, what: &str| rest.strip_prefix(what)?.split([' ', ',', ':']).next()?.parse().ok();
        let mut about = Self::default();
        if let Some((pool, rest)) = named("[pool ") {
            (about.pool, about.pid) = (Some(pool), pid(rest, "child "));
        } else if let Some((group, rest)) = named("[group ") {
            (about.group, about.pid) = (Some(group), pid(rest, "zygote "));
        }
        about
    }
}

/// The whole object without a newline.
#[must_use]
pub fn line(level: Level, text: &[u8], about: &About<'_>) -> Vec<u8> {
    let (message, escaped) = json::text(text);
    object(level, &message, escaped, about)
}

/// The same for a message that a worker logged.
#[must_use]
pub fn told_line(told: &Told, about: &About<'_>) -> Vec<u8> {
    let Told { request_id, trace_id, span_id, .. } = *told;
    let about = About { continues: told.continues, request: OfRequest { request_id, trace_id, span_id }, ..*about };
    object(told.level, &told.message, told.escaped, &about)
}

fn object(level: Level, message: &str, escaped: bool, about: &About<'_>) -> Vec<u8> {
    let escaped: &[&str] = if escaped { &["message"] } else { &[] };
    let time = json::utc(clock::wall());
    let mut line = Vec::with_capacity(message.len() + 160);
    json::push(&mut line, &Line { time: &time, level: name(level), message, about, escaped });
    line
}

/// A message that a worker logs in a request with these ids, as lines of at most `BOUND` bytes.
pub(super) fn worker_lines(level: Level, text: &[u8], ids: Option<&RequestIds>) -> Vec<Vec<u8>> {
    let (message, escaped) = json::text(text);
    let OfRequest { request_id, trace_id, span_id } = OfRequest::new(ids);
    let message = message.into_owned();
    let told = Told { level, message, continues: false, escaped, request_id, trace_id, span_id };
    let mut lines = Vec::new();
    push_worker_lines(&told, &mut lines);
    lines
}

fn push_worker_lines(told: &Told, lines: &mut Vec<Vec<u8>>) {
    let mut line = Vec::new();
    if told.message.len() <= BOUND {
        json::push(&mut line, told);
    }
    if !line.is_empty() && line.len() <= BOUND {
        return lines.push(line);
    }
    let text = &told.message;
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    push_worker_lines(&Told { message: first.to_owned(), continues: true, ..*told }, lines);
    push_worker_lines(&Told { message: second.to_owned(), ..*told }, lines);
}

/// The message of a worker in this line; `None` if the line is output of a script.
#[must_use]
pub fn told_by_worker(line: &[u8]) -> Option<Told> {
    if line.starts_with(b"{\"level\":") { serde_json::from_slice(line).ok() } else { None }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Notice => "notice",
        Level::Warning => "warning",
        Level::Error => "error",
        Level::Alert => "alert",
    }
}

mod level_name {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use super::{Level, name};

    pub(super) fn serialize<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name(*level))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
        let told = String::deserialize(deserializer)?;
        let levels = [Level::Debug, Level::Notice, Level::Warning, Level::Error, Level::Alert];
        levels.into_iter().find(|level| name(*level) == told).ok_or_else(|| D::Error::custom("no level"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::json::bytes_of;
    use crate::request_ids::TraceContext;

    fn read(line: &[u8]) -> Value {
        assert!(!line.contains(&b'\n'));
        serde_json::from_slice(line).unwrap()
    }

    #[test]
    fn a_line_has_time_level_and_message_and_what_is_known() {
        let text = "[pool www] child 7 exited with code 1";
        let object = read(&line(Level::Warning, text.as_bytes(), &About::text(text.as_bytes())));
        assert_eq!(object["level"], "warning");
        assert_eq!((&object["message"], &object["pool"], &object["pid"]), (&text.into(), &"www".into(), &7.into()));
        assert_eq!(object["time"].as_str().unwrap().len(), "2026-11-23T10:00:00.000001Z".len());
        let names: Vec<&String> = object.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 5, "{names:?}");
    }

    #[test]
    fn whom_a_text_is_about() {
        let about = |text: &'static str| {
            let About { pool, group, pid, .. } = About::text(text.as_bytes());
            (pool, group, pid)
        };
        assert_eq!(about("[pool a b] child 12, script 'x'"), (Some("a b"), None, Some(12)));
        assert_eq!(about("[group g] zygote 3 said"), (None, Some("g"), Some(3)));
        assert_eq!(about("[pool www] seems busy"), (Some("www"), None, None));
        assert_eq!(about("fpm is running, pid 1"), (None, None, None));
        assert_eq!(about("[pool www"), (None, None, None));
    }

    #[test]
    fn what_a_worker_says_is_known_again_with_its_newlines() {
        let lines = worker_lines(Level::Error, b"PHP message: a\nStack trace:\n#0 {main}", None);
        let told = told_by_worker(&lines[0]).unwrap();
        assert_eq!((told.level, told.message.lines().count(), told.continues), (Level::Error, 3, false));
        assert_eq!(told_by_worker(br#"{"level":"error","message":"x","user":1}"#), None);
        assert_eq!(told_by_worker(br#"{"level":"fatal","message":"x"}"#), None);
        assert_eq!(told_by_worker(b"{\"level\":\"error\",\"message\":\"\xff\"}"), None);
        let told = told_by_worker(&worker_lines(Level::Error, b"\\\xff", None)[0]).unwrap();
        assert_eq!((&*told.message, told.escaped), (r"\\\xFF", true));
    }

    #[test]
    fn what_a_worker_says_in_a_request_has_its_ids() {
        let trace = TraceContext::of_numbers((1, 2));
        let ids = RequestIds { request: RequestId::accept(b"abc").unwrap(), trace };
        let told = told_by_worker(&worker_lines(Level::Error, b"x", Some(&ids))[0]).unwrap();
        let object = read(&told_line(&told, &About { pool: Some("www"), ..About::default() }));
        let expected = ["abc", "00000000000000000000000000000001", "0000000000000002"];
        for (name, expected) in ["request_id", "trace_id", "span_id"].into_iter().zip(expected) {
            assert_eq!(object[name], expected, "{name}");
        }
        let ids = RequestIds { trace: None, ..ids };
        let object =
            read(&line(Level::Error, b"x", &About { request: OfRequest::new(Some(&ids)), ..About::default() }));
        assert_eq!((&object["request_id"], object.get("trace_id"), object.get("span_id")), (&"abc".into(), None, None));
        for bad in [r#""request_id":"a\nb""#, r#""request_id":7"#, r#""trace_id":"0""#, r#""span_id":"x""#] {
            let line = format!(r#"{{"level":"error","message":"x",{bad}}}"#);
            assert_eq!(told_by_worker(line.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_long_message_is_cut_into_lines_that_fit() {
        let text = "\u{1b}ä".repeat(40_000);
        let lines = worker_lines(Level::Notice, text.as_bytes(), None);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= BOUND));
        let told: Vec<Told> = lines.iter().map(|line| told_by_worker(line).unwrap()).collect();
        assert_eq!(told.iter().map(|t| t.message.as_str()).collect::<String>(), text);
        let (last, before) = told.split_last().unwrap();
        assert!(before.iter().all(|t| t.continues) && !last.continues);
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_line_of_json(bytes in proptest::collection::vec(any::<u8>(), 0..64), pool in ".{0,9}") {
            let about = About { pool: Some(&pool), stream: Some("stderr"), continues: true, ..About::default() };
            let object = read(&line(Level::Notice, &bytes, &about));
            let message = object["message"].as_str().unwrap();
            prop_assert_eq!(bytes_of(message, object.get("escaped").is_some()), bytes);
            prop_assert_eq!(object["pool"].as_str(), Some(&*pool));
        }
    }
}
