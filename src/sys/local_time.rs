//! Local time as text. A script may change `TZ` and the locale while it runs, and a line of the access log is written before PHP
//! restores them. So the rules of the time zone are read once, before any script runs, and names are in the locale `C`.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsString};
use std::sync::OnceLock;

use parking_lot::RwLock;
use tz::{LocalTimeType, TimeZone};

/// A time zone, and the value of `TZ` that it was read for.
struct Zone {
    name: Option<OsString>,
    rules: TimeZone,
}

static ZONE: RwLock<Option<Zone>> = RwLock::new(None);

/// What the rules say for one moment.
struct Offset {
    /// East of Greenwich, in seconds.
    seconds: i32,
    summer: bool,
    /// The abbreviation, such as `CET`, with NUL bytes after it.
    name: [u8; 8],
}

/// Reads the time zone that `TZ` names now. If its file cannot be read, UTC.
pub fn renew_zone() {
    let name = std::env::var_os("TZ");
    let mut zone = ZONE.write();
    if zone.as_ref().is_some_and(|known| known.name == name) {
        return;
    }
    let read = match &name {
        None => TimeZone::local().ok(),
        Some(name) => name.to_str().and_then(|name| TimeZone::from_posix_tz(name).ok()),
    };
    *zone = Some(Zone { name, rules: read.unwrap_or_else(TimeZone::utc) });
}

/// A moment in local time in a format of strftime(3). The text has at most 128 bytes. `seconds` since 1970.
#[must_use]
pub fn local_time(seconds: u64, format: &CStr) -> String {
    let mut text = Vec::new();
    push_local_time(seconds, format, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Appends that text.
pub fn push_local_time(seconds: u64, format: &CStr, to: &mut Vec<u8>) {
    let seconds = i64::try_from(seconds).unwrap_or(0);
    push(seconds, &offset_at(seconds), format, to);
}

fn offset_at(seconds: i64) -> Offset {
    if ZONE.read().is_none() {
        renew_zone();
    }
    let zone = ZONE.read();
    let kind = zone.as_ref().and_then(|zone| zone.rules.find_local_time_type(seconds).ok());
    kind.map_or_else(|| Offset::of(&LocalTimeType::utc()), Offset::of)
}

impl Offset {
    fn of(kind: &LocalTimeType) -> Self {
        let mut name = [0; 8];
        // The last byte stays NUL.
        for (to, from) in name.iter_mut().take(7).zip(kind.time_zone_designation().bytes()) {
            *to = from;
        }
        Self { seconds: kind.ut_offset(), summer: kind.is_dst(), name }
    }
}

fn push(seconds: i64, offset: &Offset, format: &CStr, to: &mut Vec<u8>) {
    let mut tm = std::mem::MaybeUninit::<libc::tm>::zeroed();
    let shifted = seconds.saturating_add(i64::from(offset.seconds));
    // SAFETY: it reads one `time_t` and writes one `tm`, both of which live during the call.
    unsafe { libc::gmtime_r(&raw const shifted, tm.as_mut_ptr()) };
    // SAFETY: every member is a number or a nullable pointer, zeroed and then filled by gmtime_r.
    let mut tm = unsafe { tm.assume_init() };
    tm.tm_gmtoff = i64::from(offset.seconds);
    tm.tm_isdst = i32::from(offset.summer);
    tm.tm_zone = offset.name.as_ptr().cast();
    let format = with_epoch(format, seconds);
    let mut text = [0u8; 129];
    let (start, room) = (text.as_mut_ptr().cast(), text.len());
    // SAFETY: the buffer has `room` bytes, and the format and `tm_zone` are C strings that live during the call. The locale is
    // never freed.
    let length = unsafe { libc::strftime_l(start, room, format.as_ptr(), &raw const tm, locale_of_c()) };
    to.extend_from_slice(text.get(..length).unwrap_or_default());
}

/// Replaces `%s` by the seconds: strftime would compute them with the time zone of the process.
fn with_epoch(format: &CStr, seconds: i64) -> Cow<'_, CStr> {
    let bytes = format.to_bytes();
    if !bytes.windows(2).any(|pair| pair == b"%s") {
        return Cow::Borrowed(format);
    }
    let mut text = Vec::with_capacity(bytes.len() + 20);
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        match (byte, rest.clone().next()) {
            (b'%', Some(b's')) => text.extend_from_slice(seconds.to_string().as_bytes()),
            (b'%', Some(next)) => text.extend_from_slice(&[b'%', next]),
            _ => {
                text.push(byte);
                continue;
            }
        }
        rest.next();
    }
    CString::new(text).map_or(Cow::Borrowed(format), Cow::Owned)
}

/// The locale `C`, independent of the locale of the process.
fn locale_of_c() -> libc::locale_t {
    struct Locale(libc::locale_t);
    // SAFETY: the locale is made once, only read and never freed, so any thread may use it.
    unsafe impl Send for Locale {}
    // SAFETY: the locale is made once, only read and never freed, so any thread may use it.
    unsafe impl Sync for Locale {}
    static LOCALE: OnceLock<Locale> = OnceLock::new();
    let make = || {
        // SAFETY: a C string, and no locale to start from. libc always has the locale `C`.
        Locale(unsafe { libc::newlocale(libc::LC_ALL_MASK, c"C".as_ptr(), std::ptr::null_mut()) })
    };
    LOCALE.get_or_init(make).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_zone(zone: &str, seconds: i64, format: &CStr) -> String {
        let rules = TimeZone::from_posix_tz(zone).unwrap();
        let kind = rules.find_local_time_type(seconds).unwrap();
        let mut text = Vec::new();
        push(seconds, &Offset::of(kind), format, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn summer_time_is_followed() {
        let rule = "CET-1CEST,M3.5.0,M10.5.0/3";
        let format = c"%d/%b/%Y:%H:%M:%S %z %Z";
        // 2026-10-25 01:00 UTC ends it.
        assert_eq!(in_zone(rule, 1_792_889_999, format), "25/Oct/2026:02:59:59 +0200 CEST");
        assert_eq!(in_zone(rule, 1_792_890_000, format), "25/Oct/2026:02:00:00 +0100 CET");
        assert_eq!(in_zone("<-0330>3:30", 0, format), "31/Dec/1969:20:30:00 -0330 -0330");
    }

    #[test]
    fn seconds_are_those_since_1970() {
        assert_eq!(in_zone("JST-9", 86_400, c"%s|%%s|%H%s%"), "86400|%s|0986400%");
        assert_eq!(in_zone("JST-9", 86_400, c"%H"), "09");
    }
}
