//! The state of a pool as entries of an array, with php-fpm's keys (php-src `fpm_status_export_to_zval`).

use std::ffi::c_char;

use crate::status::{Field, Process, Snapshot, Value, of_pool, of_process};

/// An entry of the array, or of one of its rows.
#[derive(Debug)]
pub(super) struct Entry {
    /// The row that it belongs to. `None`: the array itself.
    row: Option<usize>,
    key: String,
    value: Value,
}

/// An entry for C code.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    pub(super) row: Option<usize>,
    pub(super) key: (*const c_char, usize),
    pub(super) content: Content,
}

/// The value of an entry.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Text(*const c_char, usize),
    Number(i64),
    Decimal(f64),
}

impl Entry {
    pub(super) fn plain(&self) -> Plain {
        let text = |bytes: &[u8]| Content::Text(bytes.as_ptr().cast(), bytes.len());
        let content = match &self.value {
            Value::Word(word) => text(word.as_bytes()),
            Value::Text(bytes) | Value::Uri(bytes) => text(bytes),
            Value::Number(number) | Value::Moment(number) => {
                Content::Number(i64::try_from(*number).unwrap_or(i64::MAX))
            }
            Value::Decimal(number) => Content::Decimal(*number),
        };
        Plain { row: self.row, key: (self.key.as_ptr().cast(), self.key.len()), content }
    }
}

/// All entries: those of the pool, then those of its rows.
pub(super) fn entries(snapshot: &Snapshot) -> Vec<Entry> {
    let entry = |row, field: Field| Entry { row, key: field.name.replace(' ', "-"), value: field.value };
    let pool = of_pool(snapshot).into_iter().map(|field| entry(None, field));
    let rows = snapshot.processes.iter().enumerate().flat_map(|(row, process)| {
        of_process(process, snapshot.now)
            .into_iter()
            .flat_map(|f| renamed(f, process))
            .map(move |f| entry(Some(row), f))
    });
    pool.chain(rows).collect()
}

/// The entries of a worker. Unlike on the status page, the query has an entry of its own, and the length another name.
fn renamed(field: Field, process: &Process) -> Vec<Field> {
    match field.name {
        "request uri" => vec![
            Field { name: "request uri", value: Value::Text(process.uri.clone()) },
            Field { name: "query string", value: Value::Text(process.query.clone()) },
        ],
        "content length" => vec![Field { name: "request length", value: field.value }],
        _ => vec![field],
    }
}
