//! Text, HTML, XML and JSON. The pages are php-fpm's byte for byte, except that all untrusted text is escaped.

use super::escape;
use super::fields::{Field, Value, of_pool, of_process};
use super::snapshot::{Process, Snapshot};
use crate::escape::line;
use crate::request::Stage;

type Date<'a> = &'a dyn Fn(u64) -> String;

/// Lines of a name, a colon and the value from the 23rd column on.
pub(super) fn text(pool: &Snapshot, full: bool, date: Date<'_>) -> Vec<u8> {
    let row = |field: Field| {
        // php-fpm spells this name differently in the text format.
        let name = if field.name == "request uri" { "request URI" } else { field.name };
        format!("{:<22}{}\n", format!("{name}:"), plain(&field.value, date, line))
    };
    let mut out: String = of_pool(pool).into_iter().map(row).collect();
    for process in pool.processes.iter().filter(|_| full) {
        out.push_str("\n************************\n");
        out.extend(of_process(process, pool.now).into_iter().map(row));
    }
    out.into_bytes()
}

/// A table of the pool and, in full, one with a row for each worker.
pub(super) fn html(pool: &Snapshot, full: bool, date: Date<'_>) -> Vec<u8> {
    let mut out = "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">\n\
        <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n\
        <head><title>PHP-FPM Status Page</title></head>\n<body>\n<table>\n"
        .to_owned();
    let value = |field: &Field| plain(&field.value, date, escape::markup);
    for field in of_pool(pool) {
        out.push_str(&format!("<tr><th>{}</th><td>{}</td></tr>\n", field.name, value(&field)));
    }
    out.push_str("</table>\n");
    if full {
        let row = |cells: String| format!("<tr>{cells}</tr>\n");
        let names = of_process(&NO_PROCESS, 0).iter().map(|f| format!("<th>{}</th>", f.name)).collect();
        out.push_str("<table border=\"1\">\n");
        out.push_str(&row(names));
        for process in &pool.processes {
            let cells = of_process(process, pool.now).iter().map(|f| format!("<td>{}</td>", value(f))).collect();
            out.push_str(&row(cells));
        }
        out.push_str("</table>");
    }
    out.push_str("</body></html>");
    out.into_bytes()
}

/// One element a field.
pub(super) fn xml(pool: &Snapshot, full: bool) -> Vec<u8> {
    let element = |field: &Field| {
        let name = field.name.replace(' ', "-");
        format!("<{name}>{}</{name}>", plain(&field.value, &|at| at.to_string(), escape::markup))
    };
    let mut out = "<?xml version=\"1.0\" ?>\n<status>\n".to_owned();
    out.extend(of_pool(pool).iter().map(|field| element(field) + "\n"));
    if full {
        out.push_str("<processes>\n");
        for process in &pool.processes {
            let inner: String = of_process(process, pool.now).iter().map(element).collect();
            out.push_str(&format!("<process>{inner}</process>\n"));
        }
        out.push_str("</processes>\n");
    }
    out.push_str("</status>");
    out.into_bytes()
}

/// One object; the workers in `processes`.
pub(super) fn json(pool: &Snapshot, full: bool) -> Vec<u8> {
    let member = |field: &Field| {
        let value = match &field.value {
            Value::Word(word) => format!("\"{word}\""),
            Value::Text(bytes) => format!("\"{}\"", escape::json(bytes, false)),
            Value::Uri(bytes) => format!("\"{}\"", escape::json(bytes, true)),
            number => plain(number, &|at| at.to_string(), line),
        };
        format!("\"{}\":{value}", field.name)
    };
    let members = |fields: Vec<Field>| fields.iter().map(member).collect::<Vec<_>>().join(",");
    let mut out = format!("{{{}", members(of_pool(pool)));
    if full {
        let rows = pool.processes.iter().map(|p| format!("{{{}}}", members(of_process(p, pool.now))));
        out.push_str(&format!(", \"processes\":[{}]", rows.collect::<Vec<_>>().join(",")));
    }
    out.push('}');
    out.into_bytes()
}

fn plain(value: &Value, date: Date<'_>, escape: fn(&[u8]) -> String) -> String {
    match value {
        Value::Word(word) => (*word).to_owned(),
        Value::Text(bytes) | Value::Uri(bytes) => escape(bytes),
        Value::Number(number) => number.to_string(),
        Value::Decimal(number) => format!("{number:.2}"),
        Value::Moment(at) => date(*at),
    }
}

/// For the names of the fields.
const NO_PROCESS: Process = Process {
    pid: 0,
    stage: Stage::Idle,
    started: 0,
    requests: 0,
    duration: 0,
    method: Vec::new(),
    uri: Vec::new(),
    query: Vec::new(),
    user: Vec::new(),
    script: Vec::new(),
    content_length: 0,
    cpu: 0.0,
    memory: 0,
};
