//! The lines of `-tt`: the configuration as php-fpm prints it.

use super::directives::{Directive, Dumped, GlobalDirective, Key, Kind, PoolDirective};
use super::raw::{Pair, Raw, RawPool};
use super::section::{NO_PRIORITY, Section};
use super::types::ProcessManager;
use crate::log;

/// All lines, without time and level.
pub(super) fn lines(raw: &Raw) -> Vec<String> {
    let mut lines = vec!["[global]".to_owned()];
    for (index, directive) in GlobalDirective::TABLE.iter().enumerate() {
        let shown = if index == GlobalDirective::EventsMechanism.index() {
            raw.events_mechanism().unwrap_or_default().to_owned()
        } else {
            match value(&raw.global, index, directive) {
                Some(value) => value,
                None => continue,
            }
        };
        lines.push(format!("\t{} = {shown}", directive.name));
    }
    lines.push(" ".to_owned());
    for pool in raw.pools.iter().filter(|pool| pool.status_of.is_none()) {
        pool_lines(pool, &mut lines);
    }
    lines
}

fn pool_lines(pool: &RawPool, lines: &mut Vec<String>) {
    lines.push(format!("[{}]", pool.name));
    for (index, directive) in PoolDirective::TABLE.iter().enumerate() {
        let Some(value) = value(&pool.values, index, directive) else { continue };
        lines.push(format!("\t{} = {value}", directive.name));
        if index == PoolDirective::AccessFormat.index() {
            let paths = pool.suppressed_paths.iter().rev();
            lines.extend(paths.map(|path| format!("\taccess.suppress_path[] = {path}")));
        }
    }
    pairs("env", &pool.env, lines);
    pairs("php_value", &pool.php_values, lines);
    pairs("php_admin_value", &pool.php_admin_values, lines);
    pairs("process.php_define", &pool.php_defines, lines);
    lines.push(" ".to_owned());
}

fn pairs(name: &str, pairs: &[Pair], lines: &mut Vec<String>) {
    lines.extend(pairs.iter().rev().map(|pair| format!("\t{name}[{}] = {}", pair.key, pair.value)));
}

/// The text that `-tt` prints for a directive, if it prints it.
fn value<K: Key>(section: &Section<K>, index: usize, directive: &Directive) -> Option<String> {
    let text = section.text_at(index);
    match directive.dumped {
        Dumped::Never => return None,
        Dumped::WhenSet if text.is_none() && is_default(directive.kind, section.integer_at(index)) => return None,
        _ => {}
    }
    let number = section.integer_at(index);
    Some(match directive.kind {
        Kind::Text
        | Kind::Bytes
        | Kind::FastcgiPhpValue
        | Kind::OnSigterm
        | Kind::BaseUse
        | Kind::StartFailure
        | Kind::LogFormat => text.unwrap_or("undefined").to_owned(),
        Kind::Priority if number == NO_PRIORITY => "undefined".to_owned(),
        Kind::Integer(_) | Kind::Priority | Kind::PlainSeconds(_) | Kind::Facility | Kind::CoreLimit => {
            number.to_string()
        }
        Kind::Seconds(_) => format!("{number}s"),
        Kind::Milliseconds(_) => format!("{}s", number / 1000),
        Kind::Flag(_) => if number == 0 { "no" } else { "yes" }.to_owned(),
        Kind::LogLevel => level_name(section.log_level_at(index)).to_owned(),
        Kind::ProcessManager => manager_name(section.process_manager_at(index)).to_owned(),
    })
}

/// Whether a value that is not a text is the default.
fn is_default(kind: Kind, number: i32) -> bool {
    match kind {
        Kind::Integer(default) | Kind::Seconds(default) | Kind::PlainSeconds(default) | Kind::Milliseconds(default) => {
            number == default
        }
        Kind::Flag(default) => (number != 0) == default,
        _ => true,
    }
}

fn level_name(level: Option<log::Level>) -> &'static str {
    match level {
        None => "unknown value",
        Some(log::Level::Debug) => "DEBUG",
        Some(log::Level::Notice) => "NOTICE",
        Some(log::Level::Warning) => "WARNING",
        Some(log::Level::Error) => "ERROR",
        Some(log::Level::Alert) => "ALERT",
    }
}

fn manager_name(manager: Option<ProcessManager>) -> &'static str {
    match manager {
        Some(ProcessManager::Static) => "static",
        Some(ProcessManager::Dynamic) => "dynamic",
        Some(ProcessManager::Ondemand) | None => "ondemand",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of that kind that is not the default.
    fn example(kind: Kind) -> &'static str {
        match kind {
            Kind::Text | Kind::LogFormat => "json",
            Kind::OnSigterm => "graceful",
            Kind::StartFailure => "stop",
            Kind::FastcgiPhpValue => "user",
            Kind::BaseUse | Kind::Flag(false) => "yes",
            Kind::Flag(true) => "no",
            Kind::LogLevel => "debug",
            Kind::ProcessManager => "static",
            _ => "7",
        }
    }

    fn set_directives_are_printed<K: Key>() {
        for (index, directive) in K::TABLE.iter().enumerate().filter(|(_, d)| d.dumped == Dumped::WhenSet) {
            let mut section = Section::<K>::new();
            assert_eq!(value(&section, index, directive), None, "{} is not set", directive.name);
            section.assign(directive.name, example(directive.kind), Some("www")).unwrap();
            assert!(value(&section, index, directive).is_some(), "{} is set", directive.name);
        }
    }

    #[test]
    fn directives_of_ours_are_printed_if_they_are_set() {
        set_directives_are_printed::<GlobalDirective>();
        set_directives_are_printed::<PoolDirective>();
    }
}
