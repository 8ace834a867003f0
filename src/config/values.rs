//! Text of a value to what it means. The errors are php-fpm's and follow `unable to parse value for entry 'x': `.

use super::model::{LogLevel, ProcessManager};

/// C's atoi: blanks, a sign, digits; 0 for nothing, and the low 32 bits of what doesn't fit.
pub(crate) fn atoi(text: &[u8]) -> i32 {
    let blank = |byte: &u8| b" \t\n\r\x0b\x0c".contains(byte);
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let (negative, digits) = match &text[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0_i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        value.saturating_mul(10).saturating_add(if negative { -digit } else { digit })
    });
    low_bits(value)
}

fn low_bits(value: i64) -> i32 {
    let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    low.cast_signed()
}

/// An integer; a leading minus is let through, as php-fpm does.
pub(crate) fn integer(text: &str) -> Result<i32, &'static str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(atoi(text.as_bytes()))
    } else {
        Err("is not a valid number (greater or equal than zero)")
    }
}

/// A time with its unit (`s`, `m`, `h`, `d`; none means seconds), in seconds.
pub(crate) fn seconds(text: &str) -> Result<i32, &'static str> {
    let (number, unit) = match text.as_bytes() {
        [] => return Err("invalid time value"),
        [number @ .., b's'] => (number, 1),
        [number @ .., b'm'] => (number, 60),
        [number @ .., b'h'] => (number, 60 * 60),
        [number @ .., b'd'] => (number, 24 * 60 * 60),
        number @ [.., b'0'..=b'9'] => (number, 1),
        _ => return Err("unknown suffix used in time value"),
    };
    Ok(atoi(number).wrapping_mul(unit))
}

/// Yes or no. The scanner has turned bare words of any case into `1` and nothing.
pub(crate) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "yes" | "true" | "on" => Ok(true),
        "" | "0" | "no" | "none" | "false" | "off" => Ok(false),
        _ => Err("invalid boolean value"),
    }
}

/// `log_level`.
pub(crate) fn log_level(text: &str) -> Result<LogLevel, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Ok(LogLevel::Debug),
        "notice" => Ok(LogLevel::Notice),
        "warning" | "warn" => Ok(LogLevel::Warning),
        "error" => Ok(LogLevel::Error),
        "alert" => Ok(LogLevel::Alert),
        _ => Err("invalid value for 'log_level'"),
    }
}

/// `syslog.facility`, as syslog's number.
pub(crate) fn facility(text: &str) -> Result<i32, &'static str> {
    const NAMES: [&str; 12] =
        ["KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP"];
    let name = text.to_ascii_uppercase();
    let local = name.strip_prefix("LOCAL").and_then(|digit| "01234567".find(digit)).filter(|_| name.len() == 6);
    let index = local.map(|digit| digit + 16).or_else(|| NAMES.iter().position(|known| *known == name));
    index.and_then(|index| i32::try_from(index << 3).ok()).ok_or("invalid value")
}

/// `rlimit_core`; -1 is unlimited.
pub(crate) fn core_limit(text: &str) -> Result<i32, &'static str> {
    if text.eq_ignore_ascii_case("unlimited") {
        return Ok(-1);
    }
    match integer(text)? {
        limit if limit < 0 => Err("must be greater than zero or 'unlimited'"),
        limit => Ok(limit),
    }
}

/// `pm`.
pub(crate) fn process_manager(text: &str) -> Result<ProcessManager, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "static" => Ok(ProcessManager::Static),
        "dynamic" => Ok(ProcessManager::Dynamic),
        "ondemand" => Ok(ProcessManager::Ondemand),
        _ => Err("invalid process manager (static, dynamic or ondemand)"),
    }
}

/// C's strtoul with base 8: what comes after the digits is ignored.
pub(crate) fn octal(text: &str) -> u32 {
    let digits = text.trim_ascii_start().bytes().take_while(|byte| (b'0'..b'8').contains(byte));
    digits.fold(0_u32, |value, digit| value.wrapping_mul(8).wrapping_add(u32::from(digit - b'0')))
}

/// Only digits: a numeric user, group or port.
pub(crate) fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text with `$pool` replaced by the pool's name.
pub(crate) fn with_pool_name(text: &str, pool: Option<&str>) -> Result<String, &'static str> {
    match pool {
        Some(name) => Ok(text.replace("$pool", name)),
        None if text.contains("$pool") => Err("Can't use '$pool' when the pool is not defined"),
        None => Ok(text.to_owned()),
    }
}
