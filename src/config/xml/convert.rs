//! Writes statements as an ini file.

use super::statement::{Line, Statement};
use crate::config::directives::{GLOBAL_DIRECTIVES, Kind, POOL_DIRECTIVES};

/// The text of the ini file; `origin` is named in its first line.
pub(super) fn ini(lines: &[Line], origin: &str) -> String {
    let origin = origin.replace(|c: char| c.is_control(), "?");
    let mut text = format!("; made from {origin} by php-cgi --fpm --convert\n");
    for line in lines {
        match &line.statement {
            Statement::Section(name) => text.push_str(&format!("\n[{name}]\n")),
            Statement::Entry(directive, value) if is_flag(directive) => {
                text.push_str(&format!("{directive} = {value}\n"));
            }
            Statement::Entry(directive, value) => text.push_str(&format!("{directive} = {}\n", written(value))),
            Statement::Pair("env", key, value) if is_variable(value) => {
                text.push_str(&format!("env[{key}] = {value}\n"));
            }
            Statement::Pair(directive, key, value) => {
                text.push_str(&format!("{directive}[{key}] = {}\n", written(value)));
            }
        }
    }
    text
}

fn is_flag(directive: &str) -> bool {
    let mut all = GLOBAL_DIRECTIVES.iter().chain(POOL_DIRECTIVES);
    all.any(|known| known.name == directive && matches!(known.kind, Kind::Flag(_)))
}

/// `$NAME`, which an ini file has without quotes.
fn is_variable(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    value.strip_prefix('$').is_some_and(|name| !name.is_empty() && name.bytes().all(plain))
}

/// A value for an ini file: without quotes if it is plain, else in quotes.
fn written(value: &str) -> String {
    const WORDS: [&str; 8] = ["true", "false", "null", "none", "yes", "no", "on", "off"];
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/._:,-".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) && !WORDS.contains(&value) {
        return value.to_owned();
    }
    if !value.contains(['"', '\\', '$']) {
        return format!("\"{value}\"");
    }
    // Between single quotes no character is special, but an empty pair is not a string. A single quote goes between double quotes.
    let quoted = |part: &str| if part.is_empty() { String::new() } else { format!("'{part}'") };
    value.split('\'').map(quoted).collect::<Vec<_>>().join("\"'\"")
}
