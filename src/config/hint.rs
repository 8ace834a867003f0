//! What would be right: a line after php-fpm's own, for people who made a slip.

use super::directives::{Directive, GLOBAL_DIRECTIVES, Kind, LIST_DIRECTIVES, POOL_DIRECTIVES};

/// For a line that isn't understood at all.
pub(super) fn for_syntax(line: &[u8]) -> String {
    let odd = |quote: u8| line.iter().filter(|byte| **byte == quote).count() % 2 == 1;
    if odd(b'"') || odd(b'\'') {
        "a quote is not closed in this line".to_owned()
    } else {
        "a value with one of ;=&|^~()!\"'{} in it goes into quotes".to_owned()
    }
}

/// For a name without a value.
pub(super) fn for_missing_value(line: &[u8]) -> String {
    if line.contains(&b'\'') || line.contains(&b'"') { for_syntax(line) } else { "write name = value".to_owned() }
}

/// For a directive that is refused in this kind of section.
pub(super) fn for_entry(name: &str, in_pool: bool) -> Option<String> {
    let (own, other, place) = if in_pool {
        (POOL_DIRECTIVES, GLOBAL_DIRECTIVES, "[global]")
    } else {
        (GLOBAL_DIRECTIVES, POOL_DIRECTIVES, "a pool's section")
    };
    if let Some(directive) = named(own, name) {
        return expected(directive.kind).map(|what| format!("{} takes {what}", directive.name));
    }
    if LIST_DIRECTIVES.iter().any(|(list, _)| *list == name) {
        return Some(format!("write {name}[…] = value, in a pool's section"));
    }
    if let Some(directive) = named(other, name) {
        return Some(format!("{} belongs into {place}", directive.name));
    }
    let near = nearest(&name.to_ascii_lowercase(), own.iter().map(|directive| directive.name))?;
    Some(format!("did you mean {near}?"))
}

/// For `name[key] = value` that is refused in this kind of section. With a known name php-fpm's words say enough.
pub(super) fn for_list(name: &str, in_pool: bool) -> Option<String> {
    let lists = || LIST_DIRECTIVES.iter().map(|(known, _)| *known);
    if !in_pool {
        return lists().find(|known| *known == name).map(|known| format!("{known}[] belongs into a pool's section"));
    }
    if lists().any(|known| known == name) {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    if let Some(directive) = named(POOL_DIRECTIVES, &lower) {
        return Some(format!("{} takes no brackets", directive.name));
    }
    nearest(&lower, lists()).map(|near| format!("did you mean {near}[]?"))
}

/// The one of these names that was probably meant.
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

/// How many bytes must be put in, taken out or changed to get from one to the other.
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
    fn slips_are_recognised() {
        let hint = |name, in_pool| for_entry(name, in_pool).unwrap_or_default();
        assert_eq!(hint("pm.max_childs", true), "did you mean pm.max_children?");
        assert_eq!(hint("listen_owner", true), "did you mean listen.owner?");
        assert_eq!(hint("user", false), "user belongs into a pool's section");
        assert_eq!(hint("Log_Level", true), "log_level belongs into [global]");
        assert_eq!(
            hint("request_terminate_timeout", true),
            "request_terminate_timeout takes a time such as 30s, 5m, 1h or 1d"
        );
        assert_eq!(hint("memory_limit", true), "");
        assert_eq!(hint("php_value", true), "write php_value[…] = value, in a pool's section");
        assert_eq!(hint(&"x".repeat(10_000), true), "");
    }

    #[test]
    fn slips_in_lists_are_recognised() {
        let hint = |name, in_pool| for_list(name, in_pool).unwrap_or_default();
        assert_eq!(hint("php_admin_vlaue", true), "did you mean php_admin_value[]?");
        assert_eq!(hint("ENV", true), "did you mean env[]?");
        assert_eq!(hint("Listen", true), "listen takes no brackets");
        assert_eq!((hint("env", true), hint("zend", true)), (String::new(), String::new()));
        assert_eq!(hint("env", false), "env[] belongs into a pool's section");
    }

    #[test]
    fn distances() {
        assert_eq!([distance("", "ab"), distance("ab", ""), distance("ab", "ab")], [2, 2, 0]);
        assert_eq!([distance("abc", "axc"), distance("abc", "ac"), distance("kitten", "sitting")], [1, 1, 3]);
    }
}
