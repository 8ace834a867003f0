//! Parses the text of a value. The errors follow php-fpm's `unable to parse value for entry 'x': `.

use super::types::{BaseUse, PhpValuePolicy, ProcessManager};
use crate::log;
use crate::log::messages::config_values::ValueError;
use crate::text::atoi;

/// An integer. A leading minus is accepted, as in php-fpm.
pub(crate) fn integer(text: &str) -> Result<i32, ValueError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { Ok(atoi(text.as_bytes())) } else { Err(ValueError::Number) }
}

/// A time with its unit (`s`, `m`, `h`, `d`; none means seconds), in seconds.
pub(crate) fn seconds(text: &str) -> Result<i32, ValueError> {
    let (number, unit) = match text.as_bytes() {
        [] => return Err(ValueError::NoTime),
        [number @ .., b's'] => (number, 1),
        [number @ .., b'm'] => (number, 60),
        [number @ .., b'h'] => (number, 60 * 60),
        [number @ .., b'd'] => (number, 24 * 60 * 60),
        number @ [.., b'0'..=b'9'] => (number, 1),
        _ => return Err(ValueError::TimeUnit),
    };
    Ok(atoi(number).wrapping_mul(unit))
}

/// A number of bytes, with `K`, `M` or `G` (powers of 1024).
pub(crate) fn bytes(text: &str) -> Result<u64, ValueError> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1_u64),
    };
    let number = if is_number(digits) { digits.parse::<u64>().ok() } else { None };
    number.and_then(|n| n.checked_mul(unit)).ok_or(ValueError::Bytes)
}

/// Yes or no. The scanner has already turned words without quotes, in any case, into `1` and an empty text.
pub(crate) fn boolean(text: &str) -> Result<bool, ValueError> {
    match text {
        "1" | "yes" | "true" | "on" => Ok(true),
        "" | "0" | "no" | "none" | "false" | "off" => Ok(false),
        _ => Err(ValueError::Boolean),
    }
}

/// `log_level`.
pub(crate) fn log_level(text: &str) -> Result<log::Level, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Ok(log::Level::Debug),
        "notice" => Ok(log::Level::Notice),
        "warning" | "warn" => Ok(log::Level::Warning),
        "error" => Ok(log::Level::Error),
        "alert" => Ok(log::Level::Alert),
        _ => Err(ValueError::LogLevel),
    }
}

/// `log_format`.
pub(crate) fn log_format(text: &str) -> Result<log::Format, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "default" => Ok(log::Format::Default),
        "json" => Ok(log::Format::Json),
        "classic" => Ok(log::Format::Classic),
        _ => Err(ValueError::LogFormat),
    }
}

/// `syslog.facility`, as syslog's number.
pub(crate) fn facility(text: &str) -> Result<i32, ValueError> {
    const NAMES: [&str; 12] =
        ["KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP"];
    let name = text.to_ascii_uppercase();
    let local = name.strip_prefix("LOCAL").and_then(|digit| "01234567".find(digit)).filter(|_| name.len() == 6);
    let index = local.map(|digit| digit + 16).or_else(|| NAMES.iter().position(|known| *known == name));
    index.and_then(|index| i32::try_from(index << 3).ok()).ok_or(ValueError::Word)
}

/// `rlimit_core`; -1 is unlimited.
pub(crate) fn core_limit(text: &str) -> Result<i32, ValueError> {
    if text.eq_ignore_ascii_case("unlimited") {
        return Ok(-1);
    }
    match integer(text)? {
        limit if limit < 0 => Err(ValueError::CoreLimit),
        limit => Ok(limit),
    }
}

/// `security.fastcgi_php_value`.
pub(crate) fn fastcgi_php_value(text: &str) -> Result<PhpValuePolicy, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "user" => Ok(PhpValuePolicy::User),
        word => Ok(if yes_or_no(word)? { PhpValuePolicy::All } else { PhpValuePolicy::Nothing }),
    }
}

/// `on_sigterm`; true: graceful.
pub(crate) fn on_sigterm(text: &str) -> Result<bool, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "fast" => Ok(false),
        "graceful" => Ok(true),
        _ => Err(ValueError::Word),
    }
}

/// `process.start_failure`; true: stop.
pub(crate) fn start_failure(text: &str) -> Result<bool, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "retry" => Ok(false),
        "stop" => Ok(true),
        _ => Err(ValueError::Word),
    }
}

/// `process.base`.
pub(crate) fn base_use(text: &str) -> Result<BaseUse, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(BaseUse::Auto),
        word => Ok(if yes_or_no(word)? { BaseUse::Always } else { BaseUse::Never }),
    }
}

/// Yes or no, where other words are possible as well.
fn yes_or_no(word: &str) -> Result<bool, ValueError> {
    boolean(word).map_err(|_| ValueError::Word)
}

/// `pm`.
pub(crate) fn process_manager(text: &str) -> Result<ProcessManager, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "static" => Ok(ProcessManager::Static),
        "dynamic" => Ok(ProcessManager::Dynamic),
        "ondemand" => Ok(ProcessManager::Ondemand),
        _ => Err(ValueError::ProcessManager),
    }
}

/// The permissions of a socket: C's strtoul with base 8, which ignores text after the digits. Only the nine permission bits
/// count, because of php-fpm's umask.
pub(crate) fn octal(text: &str) -> u32 {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text).bytes().take_while(|byte| (b'0'..b'8').contains(byte));
    let value = digits.fold(0_u32, |value, digit| value.wrapping_mul(8).wrapping_add(u32::from(digit - b'0')));
    (if text.starts_with('-') { value.wrapping_neg() } else { value }) & 0o777
}

/// Whether a text has only digits: a numeric user, group or port.
pub(crate) fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text with `$pool` replaced by the pool's name.
pub(crate) fn with_pool_name(text: &str, pool: Option<&str>) -> Result<String, ValueError> {
    match pool {
        Some(name) => Ok(text.replace("$pool", name)),
        None if text.contains("$pool") => Err(ValueError::PoolName),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_may_be_negative_or_empty_but_nothing_else() {
        assert_eq!((integer("5"), integer("-5"), integer(""), integer("-")), (Ok(5), Ok(-5), Ok(0), Ok(0)));
        for wrong in ["+5", "5x", "0x5", " 5", "--5", "1.5"] {
            assert_eq!(integer(wrong), Err(ValueError::Number), "{wrong}");
        }
    }

    #[test]
    fn times_have_one_unit() {
        assert_eq!((seconds("5"), seconds("5s"), seconds("5m")), (Ok(5), Ok(5), Ok(300)));
        assert_eq!((seconds("1h"), seconds("1d"), seconds("s"), seconds("x1")), (Ok(3600), Ok(86400), Ok(0), Ok(0)));
        assert_eq!(seconds(""), Err(ValueError::NoTime));
        assert_eq!((seconds("5M"), seconds("5w")), (seconds("5x"), Err(ValueError::TimeUnit)));
    }

    #[test]
    fn bytes_have_one_unit() {
        assert_eq!(
            (bytes("5"), bytes("64K"), bytes("256M"), bytes("1g")),
            (Ok(5), Ok(65536), Ok(256 << 20), Ok(1 << 30))
        );
        for wrong in ["", "M", "-1", "+1", "1.5G", "5MB", "99999999999G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_known_in_any_case_but_booleans_are_not() {
        assert_eq!((boolean("yes"), boolean("Yes")), (Ok(true), Err(ValueError::Boolean)));
        assert_eq!(log_level("WARN"), Ok(log::Level::Warning));
        assert_eq!((facility("local7"), facility("Daemon"), facility("ftp")), (Ok(184), Ok(24), Ok(88)));
        assert_eq!(
            (facility("local8"), facility("local"), facility("local01")),
            (Err(ValueError::Word), facility("x"), facility(""))
        );
        assert_eq!((core_limit("Unlimited"), core_limit("7")), (Ok(-1), Ok(7)));
        assert_eq!(core_limit("-7"), Err(ValueError::CoreLimit));
    }

    #[test]
    fn modes_end_at_the_first_byte_that_is_no_octal_digit() {
        assert_eq!((octal("0660"), octal("666"), octal("68"), octal("rw")), (0o660, 0o666, 6, 0));
        assert_eq!((octal("-1"), octal("+660"), octal("--1")), (0o777, 0o660, 0));
        assert_eq!((octal("7660"), octal("140666")), (0o660, 0o666), "no setuid, setgid and sticky bit");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_value_panic(text in ".*") {
            let _ = (atoi(text.as_bytes()), integer(&text), seconds(&text), boolean(&text), log_level(&text));
            let _ = (facility(&text), core_limit(&text), process_manager(&text), octal(&text));
        }
    }
}
