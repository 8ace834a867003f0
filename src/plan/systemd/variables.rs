//! The variables that systemd sets. Those that name a process hold for that one only.

use std::time::Duration;

/// How often process `pid` is to feed systemd's watchdog: at half of the time after which systemd kills it.
#[must_use]
pub(crate) fn watchdog(micros: Option<&str>, whose: Option<&str>, pid: u32) -> Option<Duration> {
    if whose.is_some_and(|whose| whose.parse() != Ok(pid)) {
        return None;
    }
    let micros: u64 = micros?.parse().ok().filter(|micros| *micros > 0)?;
    Some(Duration::from_millis((micros / 2000).max(1)))
}

/// The names of the descriptors that process `pid` was given, the first of which is number 3. One without a name has
/// systemd's: `unknown`.
#[must_use]
pub(crate) fn passed_names(whose: Option<&str>, count: Option<&str>, names: Option<&str>, pid: u32) -> Vec<String> {
    if whose.is_none_or(|whose| whose.parse() != Ok(pid)) {
        return Vec::new();
    }
    let count: u16 = count.and_then(|count| count.parse().ok()).unwrap_or(0);
    let mut names = names.unwrap_or_default().split(':').map(str::to_owned);
    let mut name = || names.next().filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    (0..count).map(|_| name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_at_half_of_its_time() {
        assert_eq!(watchdog(Some("30000000"), None, 7), Some(Duration::from_secs(15)));
        assert_eq!(watchdog(Some("500000"), Some("7"), 7), Some(Duration::from_millis(250)));
        assert_eq!(watchdog(Some("1"), Some("7"), 7), Some(Duration::from_millis(1)));
    }

    #[test]
    fn the_watchdog_of_another_is_none() {
        assert_eq!(watchdog(Some("30000000"), Some("8"), 7), None);
        assert_eq!(watchdog(Some("30000000"), Some("x"), 7), None);
        assert_eq!(watchdog(Some("0"), None, 7), None);
        assert_eq!(watchdog(Some("often"), None, 7), None);
        assert_eq!(watchdog(None, Some("7"), 7), None);
    }

    #[test]
    fn descriptors_have_names() {
        let names = |count, names| passed_names(Some("7"), Some(count), names, 7);
        assert_eq!(names("2", Some("a:b")), ["a", "b"]);
        assert_eq!(names("3", Some("a::")), ["a", "unknown", "unknown"]);
        assert_eq!(names("1", None), ["unknown"]);
        assert!(names("x", Some("a")).is_empty() && names("-1", None).is_empty());
    }

    #[test]
    fn descriptors_of_another_are_none() {
        assert!(passed_names(Some("8"), Some("1"), None, 7).is_empty());
        assert!(passed_names(None, Some("1"), None, 7).is_empty());
    }
}
