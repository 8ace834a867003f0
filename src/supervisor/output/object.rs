//! Lines of workers and zygotes as JSON objects.

use crate::json;
use crate::log::{self, About, Level};
use crate::supervisor::output::message::End;
use crate::supervisor::output::writer::Writer;

/// How to log a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// A message that a worker has sent with a level: level and text are used.
    Told(log::Told),
    /// An object already; the pool's lines are not decorated.
    AsItIs,
    /// Text.
    Wrapped,
}

/// The object, and its level if it has one. As without JSON, a line that is not decorated has none and is always logged.
pub(super) fn render(writer: &Writer, line: &[u8], end: End) -> (Option<Level>, Vec<u8>) {
    let about = about(writer, end);
    let decorated = !matches!(writer, Writer::Worker { decorate: false, .. });
    match way(writer, line, end) {
        Way::Told(told) => (Some(told.level), log::told_line(&told, &about)),
        Way::AsItIs => (None, line.to_vec()),
        Way::Wrapped => (decorated.then_some(Level::Warning), log::object_line(Level::Warning, line, &about)),
    }
}

/// How to log a line of this writer.
pub(super) fn way(writer: &Writer, line: &[u8], end: End) -> Way {
    let Writer::Worker { decorate, .. } = writer else { return Way::Wrapped };
    match log::told_by_worker(line) {
        _ if end == End::Full => Way::Wrapped,
        Some(told) => Way::Told(told),
        None if !decorate && json::is_object(line) => Way::AsItIs,
        None => Way::Wrapped,
    }
}

fn about(writer: &Writer, end: End) -> About<'_> {
    let about = About { continues: end == End::Full, closed: end == End::Stream, ..About::default() };
    match writer {
        Writer::Base { pid } | Writer::Monitor { pid } => About { pid: Some(*pid), ..about },
        Writer::Zygote(group) | Writer::Group { group, .. } => About { group: Some(group), ..about },
        Writer::Worker { pool, pid, stream, .. } => {
            About { pool: Some(pool), pid: Some(*pid).filter(|pid| *pid > 0), stream: Some(stream), ..about }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fleet::GenerationId;

    fn worker(decorate: bool) -> Writer {
        let key = GenerationId(1).zygote().worker(0, 0);
        Writer::Worker { key, pool: "www".into(), pid: 7, stream: "stderr".into(), decorate }
    }

    #[test]
    fn what_becomes_of_a_line() {
        let told = br#"{"level":"notice","message":"PHP message: a\nb"}"#;
        assert!(matches!(way(&worker(true), told, End::Message), Way::Told(_)));
        assert!(matches!(way(&worker(false), told, End::Message), Way::Told(_)));
        assert_eq!(way(&Writer::Zygote("g".into()), told, End::Message), Way::Wrapped);
        assert_eq!(way(&worker(true), told, End::Full), Way::Wrapped);
        let own = br#"{"level":"notice","message":"m","channel":"app"}"#;
        assert_eq!(way(&worker(false), own, End::Message), Way::AsItIs);
        assert_eq!(way(&worker(true), own, End::Message), Way::Wrapped);
        for none in [&b"{"[..], b"{}x", b"[1]", b"1", b"", b"{\"a\":\"\xff\"}", br#"{"a":"\ud800"}"#, b"{\"a\":1e999}"]
        {
            assert_eq!(way(&worker(false), none, End::Message), Way::Wrapped, "{none:?}");
        }
    }

    #[test]
    fn a_worker_counts_with_its_own_level() {
        let told = br#"{"level":"error","message":"PHP message: a\nb","continues":true}"#;
        let (level, object) = render(&worker(true), told, End::Message);
        let read: serde_json::Value = serde_json::from_slice(&object).unwrap();
        assert_eq!(level, Some(Level::Error));
        assert_eq!((&read["message"], &read["level"]), (&"PHP message: a\nb".into(), &"error".into()));
        assert_eq!((&read["pool"], &read["pid"], &read["continues"]), (&"www".into(), &7.into(), &true.into()));
    }
}
