//! The plain subset of the configuration language, read by our reader and by the crate `ini`, which does not know
//! Zend's language: sections, keys, values, comments, blanks, repeated keys. The rest of the language (`${name}`,
//! constants, expressions) is compared with php-fpm itself (`tests/oracle`).
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::path::Path;

use cgi_fpm::config::{self, Directive, Dumped, GLOBAL_DIRECTIVES, Kind, LoadOptions, POOL_DIRECTIVES};
use proptest::prelude::*;

/// Values by section and key.
type Values = BTreeMap<(String, String), String>;

/// The values that our reader finds in a file, as `-tt` prints them, or why it refuses the file.
fn ours(text: &str) -> Result<Values, String> {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(place.path().join("log")).unwrap();
    let file = place.path().join("php-fpm.conf");
    std::fs::write(&file, text).unwrap();
    let prefix = place.path().to_path_buf();
    let options = LoadOptions { php_prefix: prefix.clone(), local_state_dir: prefix, ..LoadOptions::default() };
    let printed = config::load(&file, &options).and_then(|loaded| loaded.test(true));
    let printed = printed.map_err(|error| format!("{:?}", error.messages.lines))?;
    let (mut section, mut values) = (String::new(), Values::new());
    for line in printed.lines.iter().map(config::Message::text) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.strip_prefix('\t').and_then(|line| line.split_once(" = ")) {
            values.insert((section.clone(), key.to_owned()), relative(value, place.path()));
        }
    }
    Ok(values)
}

/// Strips the directory that relative paths start from.
fn relative(value: &str, place: &Path) -> String {
    value.strip_prefix(&format!("{}/", place.display())).unwrap_or(value).to_owned()
}

/// The values that the crate finds.
fn theirs(text: &str) -> Values {
    let map = ini::inistr!(safe cs text).unwrap();
    let value = |value: Option<String>| value.unwrap_or_default();
    map.into_iter()
        .flat_map(|(section, keys)| keys.into_iter().map(move |(key, v)| ((section.clone(), key), value(v))))
        .collect()
}

/// Converts a value from the crate, which returns it as written, to the form that `-tt` prints: without quotes, with
/// one word each for yes and no, times in seconds, and the name of the pool for `$pool`.
fn printed(section: &str, key: &str, value: &str) -> String {
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let kind = directive(key).map(|known| known.kind);
    match value {
        "on" | "yes" | "true" => "yes".to_owned(),
        "off" | "no" | "false" => "no".to_owned(),
        _ if key == "log_level" => value.to_uppercase(),
        _ => match (kind, seconds(value)) {
            (Some(Kind::Seconds(_) | Kind::Milliseconds(_)), Some(seconds)) => format!("{seconds}s"),
            (Some(Kind::PlainSeconds(_)), Some(seconds)) => seconds.to_string(),
            _ => value.replace("$pool", section),
        },
    }
}

fn seconds(value: &str) -> Option<u64> {
    let (number, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()? * factor)
}

fn directive(key: &str) -> Option<&Directive> {
    GLOBAL_DIRECTIVES.iter().chain(POOL_DIRECTIVES).find(|known| known.name == key)
}

/// Whether `-tt` prints the directive in another form (the number of a facility, the name of a stream, a
/// `php_value`), or only sometimes (not if it has its default, or has no meaning without another directive).
fn is_shown_otherwise(key: &str) -> bool {
    ["error_log", "syslog.facility", "ping.response"].contains(&key)
        || ["php_flag[", "php_admin_flag["].iter().any(|list| key.starts_with(list))
        || directive(key).is_some_and(|known| known.dumped != Dumped::Always)
}

/// Compares the results of both. Returns the number of values.
fn compare(text: &str, ours: &Values) -> usize {
    let theirs = theirs(text);
    for ((section, key), value) in &theirs {
        if is_shown_otherwise(key) || value.contains('\\') {
            continue;
        }
        let found = ours.get(&(section.clone(), key.clone()));
        assert_eq!(found, Some(&printed(section, key, value)), "[{section}] {key} in\n{text}");
    }
    theirs.len()
}

/// A word that means the same in both: not a constant of PHP, not a number in another notation, without characters
/// that are special in Zend's language or in the crate.
fn word() -> impl Strategy<Value = String> {
    "/[a-z0-9/._-]{0,12}[a-z0-9]"
}

/// Keys of a pool, with valid values.
fn entry() -> impl Strategy<Value = (String, String)> {
    let text = (word(), proptest::option::of(word()), any::<bool>()).prop_map(|(first, second, quoted)| {
        let text = second.map_or(first.clone(), |second| format!("{first} {second}"));
        if quoted { format!("\"{text}\"") } else { text }
    });
    let text = text.boxed();
    let name = "[A-Z_]{1,8}";
    prop_oneof![
        (1..500_u32).prop_map(|n| ("pm.max_requests".to_owned(), n.to_string())),
        (0..64_u32).prop_map(|n| ("pm.max_spawn_rate".to_owned(), (n + 1).to_string())),
        prop_oneof![Just("yes"), Just("no"), Just("on"), Just("off")]
            .prop_map(|flag| ("catch_workers_output".to_owned(), flag.to_owned())),
        (0..9_u32, prop_oneof![Just(""), Just("s"), Just("m"), Just("h")])
            .prop_map(|(n, unit)| ("request_terminate_timeout".to_owned(), format!("{n}{unit}"))),
        word().prop_map(|path| ("ping.path".to_owned(), path)),
        text.clone().prop_map(|text| ("slowlog".to_owned(), text)),
        text.clone().prop_map(|text| ("access.format".to_owned(), text)),
        (name, text.clone()).prop_map(|(name, text)| (format!("env[T{name}]"), text)),
        (name, text).prop_map(|(name, text)| (format!("php_value[{}]", name.to_lowercase()), text)),
    ]
}

/// A line of a file, with the blanks and comments that may surround an entry.
fn line() -> impl Strategy<Value = (Option<String>, String)> {
    let blanks = || "[ \t]{0,3}";
    let entry = (entry(), blanks(), blanks(), blanks(), blanks(), proptest::option::of("[ ;\\[\\]=a-z]{0,9}"));
    prop_oneof![
        6 => entry.prop_map(|((key, value), indent, before, after, end, comment)| {
            let comment = comment.map_or(String::new(), |text| format!(" ;{text}"));
            (Some(key.clone()), format!("{indent}{key}{before}={after}{value}{end}{comment}"))
        }),
        1 => (blanks(), "[ ;\\[\\]=a-z\"']{0,20}").prop_map(|(indent, text)| (None, format!("{indent};{text}"))),
        1 => blanks().prop_map(|blanks| (None, blanks)),
    ]
}

/// A file of two pools. A section may appear twice.
fn file() -> impl Strategy<Value = String> {
    let lines = || proptest::collection::vec(line(), 0..8);
    (lines(), lines(), lines(), any::<bool>()).prop_map(|(first, second, more, dos)| {
        let mut text = "; a comment\n[global]\nlog_level = notice\n".to_owned();
        let mut known = std::collections::BTreeSet::new();
        for (pool, lines) in [("one", first), ("two", second), ("one", more)] {
            text.push_str(&format!("[{pool}]\n"));
            if known.insert(pool.to_owned()) {
                text.push_str(&format!("listen = /run/{pool}.sock\npm = static\npm.max_children = 3\n"));
            }
            for (key, line) in lines {
                // Our reader takes a repeated name in brackets as a second value, and -tt prints both.
                let again =
                    key.filter(|key| key.contains('[')).is_some_and(|key| !known.insert(pool.to_owned() + &key));
                text.push_str(if again { "" } else { &line });
                text.push('\n');
            }
        }
        if dos { text.replace('\n', "\r\n") } else { text }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn plain_files_are_read_alike(text in file()) {
        let ours = ours(&text).map_err(TestCaseError::fail)?;
        prop_assert!(compare(&text, &ours) >= 7);
    }
}

/// The sample unchanged, and with one of its examples enabled at a time.
#[test]
fn the_sample_is_read_alike() {
    let sample = include_str!("../../build-aux/php-fpm.conf.default");
    let mut compared = compare(sample, &ours(sample).unwrap());
    let (mut tried, mut section) = (0, "");
    for (at, line) in sample.lines().enumerate() {
        if line.starts_with('[') {
            section = line;
        }
        let example = line.trim_start_matches([';', ' ']);
        let Some((key, value)) = example.split_once(" = ").filter(|_| line != example) else { continue };
        // The crate does not know every kind of quote, which may enclose a semicolon, and `include` is not a value.
        if key.contains(' ') || key == "include" || value.contains(';') {
            continue;
        }
        let before = sample.lines().take(at).filter(|line| !line.starts_with(';'));
        let after = sample.lines().skip(at + 1).filter(|line| !line.starts_with(';'));
        let text: String = before.chain([example]).chain(after).flat_map(|line| [line, "\n"]).collect();
        // Some examples name files that do not exist, or need another directive.
        if let Ok(ours) = ours(&text) {
            let found = ours.get(&(section.trim_matches(['[', ']']).to_owned(), key.to_owned()));
            assert!(found.is_some() || is_shown_otherwise(key), "{section} {key}");
            compared += compare(&text, &ours);
            tried += 1;
        }
    }
    assert!(tried > 60 && compared > 400, "{tried} examples, {compared} values");
}

/// The examples in the documentation that are complete configurations.
#[test]
fn the_documentation_is_read_alike() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let (mut read, mut blocks) = (0, 0);
    for page in std::fs::read_dir(docs).unwrap() {
        let page = std::fs::read_to_string(page.unwrap().path()).unwrap();
        for block in page.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let pool = "[www]\nlisten = 127.0.0.1:9000\npm = static\npm.max_children = 5\n";
            let text =
                if block.contains("[www]") { block.replacen("[www]\n", pool, 1) } else { format!("{pool}{block}") };
            blocks += 1;
            if let Ok(ours) = ours(&text) {
                compare(&text, &ours);
                read += 1;
            }
        }
    }
    assert!(read > 2, "{read} of {blocks}");
}
