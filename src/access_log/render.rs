//! Writes the line of a request: the parts of the format, filled in with the facts of the request.

use std::io::Write;

use super::facts::{Facts, as_float, cpu_share};
use super::format::{Format, Id, Part, Unit};
use super::json_line;
use crate::escape::{self, Place};
use crate::request_ids::RequestIds;

impl Format {
    /// Appends the line, without a newline.
    pub fn render(&self, facts: &Facts<'_>, line: &mut Vec<u8>) {
        if self.json {
            json_line::push(&self.parts, facts, line);
        } else {
            self.parts.iter().for_each(|part| part.render(facts, line));
        }
    }
}

impl Part {
    fn render(&self, facts: &Facts<'_>, line: &mut Vec<u8>) {
        let request = &facts.request;
        match self {
            Self::Literal(text) => line.extend_from_slice(text),
            Self::Cpu(which) => write(line, format_args!("{:.2}", cpu_share(*which, facts))),
            Self::Duration(unit) => duration(*unit, facts.duration, line),
            Self::Variable(name) => text_or_dash(line, (facts.variable)(name)),
            Self::Header(name) => text_or_dash(line, (facts.header)(name).filter(|value| !value.is_empty())),
            Self::Script => text_or_dash(line, filled(request.script)),
            Self::Method => text_or_dash(line, filled(request.method)),
            Self::Pool => text_or_dash(line, filled(facts.pool.as_bytes())),
            Self::Query => escape::push(line, request.query, Place::Field),
            Self::QueryMark if request.query.is_empty() => {}
            Self::QueryMark => line.push(b'?'),
            Self::Uri => escape::push(line, request.uri, Place::Field),
            Self::User => escape::push(line, request.user, Place::Field),
            Self::ContentLength => write(line, format_args!("{}", request.content_length)),
            Self::Id(which) => id(*which, facts.ids.as_ref(), line),
            Self::Memory(unit) => write(line, format_args!("{}", facts.memory / unit)),
            Self::Pid => write(line, format_args!("{}", facts.pid)),
            Self::Supervisor => write(line, format_args!("{}", facts.supervisor)),
            Self::Status => write(line, format_args!("{}", facts.status)),
            Self::Remote => match facts.remote {
                Some(address) => write(line, format_args!("{}", address.to_canonical())),
                None => line.push(b'-'),
            },
            Self::Accepted(format) => (facts.date)(facts.accepted, format, line),
            Self::Written(format) => (facts.date)(facts.written, format, line),
        }
    }
}

/// Appends formatted text; writing to memory cannot fail.
fn write(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = line.write_fmt(text);
}

fn filled(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text)
}

fn text_or_dash(line: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => escape::push(line, text, Place::Field),
        None => line.push(b'-'),
    }
}

fn id(which: Id, ids: Option<&RequestIds>, line: &mut Vec<u8>) {
    let trace = ids.and_then(|ids| ids.trace);
    match (which, ids, trace) {
        (Id::Request, Some(ids), _) => line.extend_from_slice(ids.request.as_bytes()),
        (Id::Trace, _, Some(context)) => write(line, format_args!("{}", context.trace)),
        (Id::Span, _, Some(context)) => write(line, format_args!("{}", context.span)),
        _ => line.push(b'-'),
    }
}

fn duration(unit: Unit, micros: u64, line: &mut Vec<u8>) {
    match unit {
        Unit::Seconds => write(line, format_args!("{:.3}", as_float(micros) / 1_000_000.0)),
        Unit::Milliseconds => write(line, format_args!("{:.3}", as_float(micros) / 1000.0)),
        Unit::Microseconds => write(line, format_args!("{micros}")),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::request::Description;
    use crate::request_ids::{RequestId, TraceContext};

    fn rendered(format: &str, change: impl FnOnce(&mut Facts<'_>)) -> String {
        let header = |name: &[u8]| name.eq_ignore_ascii_case(b"X-Id").then_some(&b"a\"b"[..]);
        let variable = |name: &[u8]| match name {
            b"EMPTY" => Some(&b""[..]),
            b"NAME" => Some(&b"v\x01"[..]),
            _ => None,
        };
        let date = |at: u64, format: &CStr, line: &mut Vec<u8>| {
            line.extend_from_slice(at.to_string().as_bytes());
            line.extend_from_slice(format.to_bytes());
        };
        let request = Description {
            method: b"GET",
            uri: b"/a\nb",
            query: b"x=1",
            user: b"me",
            script: b"/srv/a.php",
            content_length: 12,
        };
        let mut facts = Facts {
            pool: "www",
            pid: 7,
            supervisor: 6,
            remote: "::ffff:192.0.2.1".parse().ok(),
            request,
            accepted: 100,
            written: 200,
            written_micros: 200_000_000,
            duration: 1_234_567,
            cpu: (100_000, 23_456),
            memory: 2_097_152,
            status: 200,
            ids: None,
            header: &header,
            variable: &variable,
            date: &date,
        };
        change(&mut facts);
        let mut line = Vec::new();
        Format::compile(format).unwrap().render(&facts, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn every_placeholder() {
        for (format, line) in [
            ("%C %{user}C %{system}C", "10.00 8.10 1.90"),
            ("%d %{milli}d %{micro}d", "1.235 1234.567 1234567"),
            ("%{NAME}e %{EMPTY}e %{none}e", r"v\x01  -"),
            ("%f %l %m %n", "/srv/a.php 12 GET www"),
            ("%M %{kilo}M %{mega}M", "2097152 2048 2"),
            ("%{x-id}o %{none}o", r"a\x22b -"),
            ("%p %P %s", "7 6 200"),
            ("%m %r%Q%q", r"GET /a\x0Ab?x=1"),
            ("%R - %u", "192.0.2.1 - me"),
            ("%t|%T|%{%Y}t|%{%H}T", "100%d/%b/%Y:%H:%M:%S %z|200%d/%b/%Y:%H:%M:%S %z|100%Y|200%H"),
            ("\"\t%%", "\"\t%"),
        ] {
            assert_eq!(rendered(format, |_| {}), line, "{format}");
        }
    }

    #[test]
    fn ids_that_a_request_has() {
        let with = |ids| rendered("%i %{request}i %{Trace}i %{span}i", |facts| facts.ids = ids);
        let ids = RequestIds { request: RequestId::accept(b"a-1").unwrap(), trace: None };
        assert_eq!(with(None), "- - - -");
        assert_eq!(with(Some(ids)), "a-1 a-1 - -");
        let traced = RequestIds { trace: TraceContext::of_numbers((0xab, 0xcd)), ..ids };
        assert_eq!(with(Some(traced)), "a-1 a-1 000000000000000000000000000000ab 00000000000000cd");
    }

    #[test]
    fn what_is_not_there() {
        let bare = |format| {
            rendered(format, |facts| {
                facts.request = Description::default();
                facts.remote = None;
                facts.duration = 0;
                facts.cpu = (0, 0);
            })
        };
        assert_eq!(bare("%R %f %m [%r%Q%q] [%u] %l %C"), "- - - [] [] 0 0.00");
        assert_eq!(bare("%q"), "");
    }

    #[test]
    fn a_long_text_is_not_cut() {
        let long = vec![b'a'; 8192];
        let format = Format::compile("%r").unwrap();
        let none = |_: &[u8]| None;
        let facts = Facts {
            pool: "",
            pid: 0,
            supervisor: 0,
            remote: None,
            request: Description { uri: &long, ..Description::default() },
            accepted: 0,
            written: 0,
            written_micros: 0,
            duration: 0,
            cpu: (0, 0),
            memory: 0,
            status: 0,
            ids: None,
            header: &none,
            variable: &none,
            date: &|_, _, _| {},
        };
        let mut line = Vec::new();
        format.render(&facts, &mut line);
        assert_eq!(line, long);
    }
}
