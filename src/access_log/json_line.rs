//! `access.format = json`: all facts of a request as a JSON object.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::facts::{Facts, as_float, cpu_share};
use super::format::{Cpu, Part};
use crate::json;
use crate::request_ids::{RequestId, SpanId, TraceId};

/// The object. A fact that does not exist is null.
#[derive(Serialize)]
struct Line<'a> {
    /// When the request started.
    time: String,
    pool: &'a str,
    pid: u32,
    supervisor: u32,
    remote_addr: Option<IpAddr>,
    client_addr: Option<Cow<'a, str>>,
    user: Option<Cow<'a, str>>,
    method: Option<Cow<'a, str>>,
    uri: Cow<'a, str>,
    query: Cow<'a, str>,
    script: Option<Cow<'a, str>>,
    status: u16,
    /// Of the request body, in bytes.
    length: u64,
    /// In seconds.
    duration: f64,
    /// Peak, in bytes.
    memory: u64,
    /// In percent of one processor.
    cpu: f64,
    /// The ids are there if requests have ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<Option<TraceId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<Option<SpanId>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    variables: BTreeMap<Cow<'a, str>, Option<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<Cow<'a, str>, Option<Cow<'a, str>>>,
    /// Names of the fields whose bytes were not UTF-8.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    escaped: Vec<Cow<'static, str>>,
}

/// Appends the object, without a newline. `extra`: variables and headers.
pub(super) fn push(extra: &[Part], facts: &Facts<'_>, line: &mut Vec<u8>) {
    let request = &facts.request;
    let mut texts = Texts::default();
    let mut object = Line {
        time: json::utc(facts.written_micros.saturating_sub(facts.duration)),
        pool: facts.pool,
        pid: facts.pid,
        supervisor: facts.supervisor,
        remote_addr: facts.remote.map(|address| address.to_canonical()),
        client_addr: texts.filled("client_addr", (facts.variable)(b"REMOTE_ADDR").unwrap_or_default()),
        user: texts.filled("user", request.user),
        method: texts.filled("method", request.method),
        uri: texts.shown("uri", request.uri),
        query: texts.shown("query", request.query),
        script: texts.filled("script", request.script),
        status: facts.status,
        length: request.content_length,
        duration: as_float(facts.duration) / 1_000_000.0,
        memory: facts.memory,
        cpu: (cpu_share(Cpu::Total, facts) * 100.0).round() / 100.0,
        request_id: facts.ids.map(|ids| ids.request),
        trace_id: facts.ids.map(|ids| ids.trace.map(|context| context.trace)),
        span_id: facts.ids.map(|ids| ids.trace.map(|context| context.span)),
        variables: BTreeMap::new(),
        headers: BTreeMap::new(),
        escaped: Vec::new(),
    };
    for part in extra {
        let (kind, name, value, map) = match part {
            Part::Variable(name) => ("variables", name, (facts.variable)(name), &mut object.variables),
            Part::Header(name) => ("headers", name, (facts.header)(name), &mut object.headers),
            _ => continue,
        };
        let name = String::from_utf8_lossy(name);
        let value = value.map(|value| texts.shown(format!("{kind}.{name}"), value));
        map.insert(name, value);
    }
    object.escaped = texts.escaped;
    json::push(line, &object);
}

/// Turns bytes into text, and keeps the names of those that were not UTF-8.
#[derive(Default)]
struct Texts {
    escaped: Vec<Cow<'static, str>>,
}

impl Texts {
    fn shown<'a>(&mut self, name: impl Into<Cow<'static, str>>, bytes: &'a [u8]) -> Cow<'a, str> {
        let (text, escaped) = json::text(bytes);
        if escaped {
            self.escaped.push(name.into());
        }
        text
    }

    fn filled<'a>(&mut self, name: &'static str, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        if bytes.is_empty() { None } else { Some(self.shown(name, bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::Format;
    use super::*;
    use crate::request::Description;
    use crate::request_ids::{RequestIds, TraceContext};

    /// The line of a request whose texts are all this one.
    fn line(format: &str, bytes: &[u8]) -> Vec<u8> {
        line_of(format, bytes, None)
    }

    fn line_of(format: &str, bytes: &[u8], ids: Option<RequestIds>) -> Vec<u8> {
        let none = |_: &[u8]| None;
        let told = |name: &[u8]| (name != b"none").then_some(bytes);
        let facts = Facts {
            pool: "www",
            pid: 7,
            supervisor: 6,
            remote: "::ffff:192.0.2.1".parse().ok(),
            request: Description {
                method: bytes,
                uri: bytes,
                query: bytes,
                user: bytes,
                script: bytes,
                content_length: 12,
            },
            accepted: 100,
            written: 101,
            written_micros: 101_234_567,
            duration: 1_234_567,
            cpu: (100_000, 23_456),
            memory: 2_097_152,
            status: 200,
            ids,
            header: if bytes.is_empty() { &none } else { &told },
            variable: if bytes.is_empty() { &none } else { &told },
            date: &|_, _, _| {},
        };
        let mut line = Vec::new();
        Format::compile(format).unwrap().render(&facts, &mut line);
        line
    }

    #[test]
    fn all_that_a_line_can_tell() {
        let line = line("json %{A}e %{none}e %{B}o", b"x");
        let read: Value = serde_json::from_slice(&line).unwrap();
        let expected = json!({
            "time": "1970-01-01T00:01:40.000000Z", "pool": "www", "pid": 7, "supervisor": 6,
            "remote_addr": "192.0.2.1", "client_addr": "x", "user": "x", "method": "x", "uri": "x", "query": "x",
            "script": "x", "status": 200, "length": 12, "duration": 1.234567, "memory": 2_097_152, "cpu": 10.0,
            "variables": {"A": "x", "none": null}, "headers": {"B": "x"},
        });
        assert_eq!(read, expected);
        assert!(line.starts_with(b"{\"time\":"));
    }

    #[test]
    fn ids_are_fields_if_requests_have_ids() {
        let read = |ids| serde_json::from_slice::<Value>(&line_of("json", b"x", ids)).unwrap();
        let ids = RequestIds { request: RequestId::accept(b"a-1").unwrap(), trace: None };
        let shown = |line: &Value| ["request_id", "trace_id", "span_id"].map(|name| line.get(name).cloned());
        assert_eq!(shown(&read(None)), [None, None, None]);
        assert_eq!(shown(&read(Some(ids))), [Some("a-1".into()), Some(Value::Null), Some(Value::Null)]);
        let traced = RequestIds { trace: TraceContext::of_numbers((0xab, 0xcd)), ..ids };
        let expected = ["a-1", "000000000000000000000000000000ab", "00000000000000cd"].map(|id| Some(id.into()));
        assert_eq!(shown(&read(Some(traced))), expected);
    }

    #[test]
    fn what_is_not_there_is_null() {
        let read: Value = serde_json::from_slice(&line("json", b"")).unwrap();
        for name in ["client_addr", "user", "method", "script"] {
            assert_eq!(read[name], Value::Null, "{name}");
        }
        assert_eq!((&read["uri"], read.get("escaped"), read.get("headers")), (&"".into(), None, None));
    }

    proptest! {
        #[test]
        fn any_request_makes_an_object(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            let line = line("json %{A}e %{B}o", &bytes);
            let read: Value = serde_json::from_slice(&line).unwrap();
            let names: Vec<&str> = read["escaped"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for name in ["client_addr", "user", "method", "uri", "query", "script", "variables.A", "headers.B"] {
                let value = name.split('.').fold(&read, |value, key| &value[key]).as_str().unwrap();
                prop_assert_eq!(&json::bytes_of(value, names.contains(&name)), &bytes, "{}", name);
            }
            prop_assert!(!line.contains(&b'\n'));
        }
    }
}
