//! Hints: how to correct a line that is refused.

use super::directives::{Directive, GLOBAL_DIRECTIVES, Kind, LIST_DIRECTIVES, POOL_DIRECTIVES};
use crate::log::messages::config_values::Hint;

/// A section that directives of pools belong in.
const A_POOL: &str = "the section of a pool";

/// For a line with a syntax error.
pub(super) fn for_syntax(line: &[u8]) -> Hint {
    if is_comment(line) {
        return Hint::Comment;
    }
    let odd = |quote: u8| line.iter().filter(|byte| **byte == quote).count() % 2 == 1;
    if odd(b'"') || odd(b'\'') { Hint::OpenQuote } else { Hint::NeedsQuotes }
}

/// For a name without a value.
pub(super) fn for_missing_value(line: &[u8]) -> Hint {
    let is_syntax = is_comment(line) || line.contains(&b'\'') || line.contains(&b'"');
    if is_syntax { for_syntax(line) } else { Hint::NameAndValue }
}

/// Whether a line is meant as a comment. Zend's ini grammar has no comments that begin with `#`.
fn is_comment(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"#")
}

/// For a directive that is refused, in a pool's section or in `[global]`.
pub(super) fn for_entry(name: &str, in_pool: bool) -> Option<Hint> {
    let (own, other, section) = if in_pool {
        (POOL_DIRECTIVES, GLOBAL_DIRECTIVES, "[global]")
    } else {
        (GLOBAL_DIRECTIVES, POOL_DIRECTIVES, A_POOL)
    };
    if let Some(directive) = named(own, name) {
        return expected(directive.kind).map(|what| Hint::Takes { name: directive.name.to_owned(), what });
    }
    if LIST_DIRECTIVES.iter().any(|(list, _)| *list == name) {
        return Some(Hint::WriteList { name: name.to_owned() });
    }
    if let Some(directive) = named(other, name) {
        return Some(Hint::BelongsIn { name: directive.name.to_owned(), section });
    }
    let near = nearest(&name.to_ascii_lowercase(), own.iter().map(|directive| directive.name))?;
    Some(Hint::DidYouMean { name: near.to_owned() })
}

/// The same for `name[key] = value`. If the name is known, the message says enough without a hint.
pub(super) fn for_list(name: &str, in_pool: bool) -> Option<Hint> {
    let lists = || LIST_DIRECTIVES.iter().map(|(known, _)| *known);
    if !in_pool {
        let known = lists().find(|known| *known == name);
        return known.map(|known| Hint::BelongsIn { name: format!("{known}[]"), section: A_POOL });
    }
    if lists().any(|known| known == name) {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    if let Some(directive) = named(POOL_DIRECTIVES, &lower) {
        return Some(Hint::NoBrackets { name: directive.name.to_owned() });
    }
    nearest(&lower, lists()).map(|near| Hint::DidYouMean { name: format!("{near}[]") })
}

/// The most similar of these names, if it is similar enough.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.map(|known| (distance(name, known), known)).min()?;
    (near.0 <= 1 + near.1.len() / 5).then_some(near.1)
}

fn named(table: &'static [Directive], name: &str) -> Option<&'static Directive> {
    table.iter().find(|directive| directive.name.eq_ignore_ascii_case(name))
}

fn expected(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Text | Kind::ProcessManager => None,
        Kind::Bytes => Some("a number of bytes such as 256M"),
        Kind::OnSigterm => Some("fast or graceful"),
        Kind::StartFailure => Some("retry or stop"),
        Kind::BaseUse => Some("auto, yes or no"),
        Kind::FastcgiPhpValue => Some("on, user or off"),
        Kind::LogFormat => Some("default, classic or json"),
        Kind::Integer(_) | Kind::Priority => Some("a whole number"),
        Kind::Seconds(_) | Kind::PlainSeconds(_) | Kind::Milliseconds(_) => Some("a time such as 30s, 5m, 1h or 1d"),
        Kind::Flag(_) => Some("yes or no"),
        Kind::LogLevel => Some("debug, notice, warning, error or alert"),
        Kind::Facility => Some("a facility such as daemon, user or local0"),
        Kind::CoreLimit => Some("a number of bytes or unlimited"),
    }
}

/// The Levenshtein distance in bytes: how many must be inserted, deleted or replaced.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, have) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, want) in to.bytes().enumerate() {
            let change = diagonal + usize::from(have != want);
            diagonal = row[column + 1];
            row[column + 1] = change.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_get_a_hint() {
        let hint = |name, in_pool| for_entry(name, in_pool).map(|hint| hint.to_string()).unwrap_or_default();
        assert_eq!(hint("pm.max_childs", true), "did you mean pm.max_children?");
        assert_eq!(hint("listen_owner", true), "did you mean listen.owner?");
        assert_eq!(hint("user", false), "user belongs in the section of a pool");
        assert_eq!(hint("Log_Level", true), "log_level belongs in [global]");
        assert_eq!(
            hint("request_terminate_timeout", true),
            "request_terminate_timeout takes a time such as 30s, 5m, 1h or 1d"
        );
        assert_eq!(hint("memory_limit", true), "");
        assert_eq!(hint("php_value", true), "write php_value[…] = value in the section of a pool");
        assert_eq!(hint(&"x".repeat(10_000), true), "");
    }

    #[test]
    fn number_signs_begin_no_comment() {
        for line in ["# the pool", " # it's", "#pm = (static"] {
            assert_eq!(for_missing_value(line.as_bytes()), Hint::Comment);
            assert_eq!(for_syntax(line.as_bytes()), Hint::Comment);
        }
        assert_eq!(for_missing_value(b"pm # static"), Hint::NameAndValue);
    }

    #[test]
    fn mistakes_in_lists_get_a_hint() {
        let hint = |name, in_pool| for_list(name, in_pool).map(|hint| hint.to_string()).unwrap_or_default();
        assert_eq!(hint("php_admin_vlaue", true), "did you mean php_admin_value[]?");
        assert_eq!(hint("ENV", true), "did you mean env[]?");
        assert_eq!(hint("Listen", true), "listen takes no brackets");
        assert_eq!((hint("env", true), hint("zend", true)), (String::new(), String::new()));
        assert_eq!(hint("env", false), "env[] belongs in the section of a pool");
    }

    #[test]
    fn distances() {
        assert_eq!([distance("", "ab"), distance("ab", ""), distance("ab", "ab")], [2, 2, 0]);
        assert_eq!([distance("abc", "axc"), distance("abc", "ac"), distance("kitten", "sitting")], [1, 1, 3]);
    }
}
