//! Values of an XML file to the text of the same value in an ini file.

use super::super::listen;
use super::super::paths::Prefixes;
use crate::log::messages::config_xml::XmlValueError;
use crate::text::atoi;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text as it stands.
    Text,
    /// A path; a relative one starts from PHP's prefix.
    Path,
    /// An absolute path.
    Directory,
    /// `host:port`, `port` or the path of a unix socket.
    Address,
    /// An integer.
    Integer,
    /// The same, not negative, or `unlimited`.
    CoreLimit,
    /// A time with a unit.
    Time,
    /// Yes or no.
    Flag,
    /// A log level.
    LogLevel,
    /// `static` or `apache-like`.
    Style,
    /// Permissions in octal.
    Mode,
}

/// A value that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    /// As an ini file has it.
    pub(super) text: String,
    /// The number, where it is an integer or a time (in seconds).
    pub(super) number: Option<i32>,
    /// The text that was given, if it is not quite a number.
    pub(super) odd: Option<String>,
}

/// What is wrong with a value, and how to correct it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) error: XmlValueError,
    pub(super) hint: &'static str,
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self { text, number: None, odd: None }
    }
}

fn wrong(error: XmlValueError, hint: &'static str) -> Wrong {
    Wrong { error, hint }
}

/// Reads a value that isn't empty.
///
/// # Errors
/// The value is not of that kind.
pub(super) fn read(kind: Kind, text: &str, prefixes: &Prefixes) -> Result<Value, Wrong> {
    match kind {
        Kind::Integer => return Ok(integer(text)),
        Kind::CoreLimit => return core_limit(text),
        _ => {}
    }
    if text.contains(char::is_control) {
        return Err(wrong(XmlValueError::ControlCharacter, "write the value on one line"));
    }
    match kind {
        Kind::Path => Ok(prefixes.global_path(text).into()),
        Kind::Address if listen::is_unix(text) => Ok(prefixes.global_path(text).into()),
        Kind::Directory if !text.starts_with('/') => {
            Err(wrong(XmlValueError::Relative { path: text.to_owned() }, "write an absolute path"))
        }
        Kind::Time => time(text).map(|seconds| Value { text: format!("{seconds}s"), number: Some(seconds), odd: None }),
        Kind::Flag => flag(text).map(|yes| if yes { "yes" } else { "no" }.to_owned().into()),
        Kind::LogLevel => log_level(text).map(|name| name.to_owned().into()),
        Kind::Style => style(text).map(|name| name.to_owned().into()),
        Kind::Mode if !text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) => {
            Err(wrong(XmlValueError::Mode { text: text.to_owned() }, "permissions are octal digits such as 0660"))
        }
        _ => Ok(text.to_owned().into()),
    }
}

/// An integer. The original takes whatever C's atoi finds, so an odd one is accepted with a remark.
fn integer(text: &str) -> Value {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (number, odd) = match text.parse::<i32>() {
        Ok(number) if plain => (number, None),
        _ => (atoi(text.as_bytes()), Some(text.trim().to_owned())),
    };
    Value { text: number.to_string(), number: Some(number), odd }
}

fn core_limit(text: &str) -> Result<Value, Wrong> {
    if text == "unlimited" {
        return Ok(text.to_owned().into());
    }
    let value = integer(text);
    if value.number.is_some_and(|number| number < 0) {
        return Err(wrong(
            XmlValueError::CoreLimit { text: text.to_owned() },
            "rlimit_core is a number of bytes or unlimited",
        ));
    }
    Ok(value)
}

fn time(text: &str) -> Result<i32, Wrong> {
    const HINT: &str = "a time is a number and one of s, m, h and d, such as 30s, 5m, 1h or 1d";
    let unknown = || wrong(XmlValueError::TimeUnit { text: text.to_owned() }, HINT);
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 60 * 60,
        Some(b'd') => 24 * 60 * 60,
        _ => return Err(unknown()),
    };
    let number = text[..text.len() - 1].trim();
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if plain { number.parse::<i32>().ok().and_then(|number| number.checked_mul(unit)) } else { None };
    seconds.ok_or_else(|| wrong(XmlValueError::Time { text: text.to_owned() }, HINT))
}

fn flag(text: &str) -> Result<bool, Wrong> {
    let is = |names: [&str; 3]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    match text {
        _ if is(["yes", "on", "1"]) => Ok(true),
        _ if is(["no", "off", "0"]) => Ok(false),
        _ => Err(wrong(XmlValueError::Boolean { text: text.to_owned() }, "write yes or no")),
    }
}

fn log_level(text: &str) -> Result<&'static str, Wrong> {
    const LEVELS: [(&str, &str); 5] =
        [("debug", "debug"), ("notice", "notice"), ("warn", "warning"), ("error", "error"), ("alert", "alert")];
    let known = LEVELS.iter().find(|(name, _)| *name == text).map(|(_, today)| *today);
    known.ok_or_else(|| {
        wrong(
            XmlValueError::LogLevel { text: text.to_owned() },
            "a log level is one of debug, notice, warn, error and alert, in lower case",
        )
    })
}

/// `apache-like` was read but never worked in the original; it is today's dynamic.
fn style(text: &str) -> Result<&'static str, Wrong> {
    match text {
        "static" => Ok("static"),
        "apache-like" => Ok("dynamic"),
        _ => Err(wrong(XmlValueError::Style { text: text.to_owned() }, "a style is static or apache-like")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LoadOptions;

    fn value(kind: Kind, text: &str) -> Result<String, String> {
        let prefixes = Prefixes::new(&LoadOptions { php_prefix: "/usr/local".into(), ..LoadOptions::default() });
        read(kind, text, &prefixes).map(|value| value.text).map_err(|wrong| wrong.error.to_string())
    }

    fn ok(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    #[test]
    fn booleans_are_six_words_in_any_case() {
        for yes in ["yes", "YES", "On", "1"] {
            assert_eq!(value(Kind::Flag, yes), ok("yes"));
        }
        for no in ["no", "oFF", "0"] {
            assert_eq!(value(Kind::Flag, no), ok("no"));
        }
        for bad in ["true", "false", " yes", "y", "2"] {
            assert_eq!(value(Kind::Flag, bad), Err(format!("invalid boolean value '{bad}'")));
        }
    }

    #[test]
    fn times_must_have_a_unit() {
        let time = |text| value(Kind::Time, text);
        assert_eq!((time("5s"), time("2m"), time("1h"), time("1d")), (ok("5s"), ok("120s"), ok("3600s"), ok("86400s")));
        assert_eq!((time("0s"), time("5 s")), (ok("0s"), ok("5s")));
        for bad in ["5", "5S", "5ms ", "s5", "x"] {
            assert_eq!(time(bad), Err(format!("unknown suffix used in timeval value '{bad}'")));
        }
        for bad in ["s", "5ms", "-1s", "1h30m", "99999999999d", "25000d"] {
            assert_eq!(time(bad), Err(format!("invalid timeval value '{bad}'")));
        }
    }

    #[test]
    fn integers_are_what_c_finds_and_odd_ones_are_told() {
        let read = |text| {
            let value = read(Kind::Integer, text, &Prefixes::new(&LoadOptions::default())).unwrap();
            (value.text, value.odd)
        };
        assert_eq!((read("5"), read("-1"), read("007")), (("5".into(), None), ("-1".into(), None), ("7".into(), None)));
        assert_eq!(read(" 5 workers"), ("5".into(), Some("5 workers".into())));
        assert_eq!(read("many\n"), ("0".into(), Some("many".into())));
        assert_eq!(value(Kind::CoreLimit, "unlimited"), ok("unlimited"));
        assert_eq!(value(Kind::CoreLimit, "0"), ok("0"));
        assert!(value(Kind::CoreLimit, "-1").unwrap_err().starts_with("invalid value for 'rlimit_core'"));
        assert_eq!(value(Kind::CoreLimit, "Unlimited"), ok("0"));
    }

    #[test]
    fn words_have_one_spelling() {
        assert_eq!((value(Kind::LogLevel, "warn"), value(Kind::LogLevel, "alert")), (ok("warning"), ok("alert")));
        assert_eq!(value(Kind::LogLevel, "warning"), Err("invalid value for 'log_level': 'warning'".to_owned()));
        assert_eq!(value(Kind::LogLevel, "Notice"), Err("invalid value for 'log_level': 'Notice'".to_owned()));
        assert_eq!((value(Kind::Style, "static"), value(Kind::Style, "apache-like")), (ok("static"), ok("dynamic")));
        assert_eq!(value(Kind::Style, "dynamic"), Err("invalid value for 'style': 'dynamic'".to_owned()));
    }

    #[test]
    fn relative_paths_start_from_the_prefix() {
        assert_eq!(value(Kind::Path, "logs/x.log"), ok("/usr/local/logs/x.log"));
        assert_eq!(value(Kind::Path, "/var/x.log"), ok("/var/x.log"));
        assert_eq!(value(Kind::Address, "run/x.sock"), ok("/usr/local/run/x.sock"));
        assert_eq!((value(Kind::Address, "9000"), value(Kind::Address, "a:9000")), (ok("9000"), ok("a:9000")));
        assert_eq!(value(Kind::Directory, "srv"), Err("the path 'srv' must start with a '/'".to_owned()));
        assert_eq!(value(Kind::Text, " as it is "), ok(" as it is "));
        assert!(value(Kind::Text, "a\nb").is_err());
        assert_eq!((value(Kind::Mode, "0666"), value(Kind::Mode, "rw").is_err()), (ok("0666"), true));
    }
}
