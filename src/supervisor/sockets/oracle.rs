//! Properties of every description of sockets in the environment. Compiled for the property tests and the fuzz targets only.

use super::inherited::{Entry, entries};
use crate::plan::systemd::passed_names;

/// Reads a text as the value of `FPM_SOCKETS`, and as systemd's `LISTEN_FDS` and `LISTEN_FDNAMES`.
///
/// # Panics
/// When a descriptor is taken that the text doesn't name, or one of the standard streams; when there are more names than descriptors.
pub fn environment(text: &str) {
    for Entry { name, raw } in entries(text).into_iter().flatten() {
        assert!(raw > 2 && !name.is_empty(), "{raw} of {name:?}");
        let digits = raw.to_string();
        let is_named = text.char_indices().any(|(at, _)| {
            let rest = text.get(at..).and_then(|rest| rest.strip_prefix(&name)).and_then(|rest| rest.strip_prefix('='));
            rest.is_some_and(|rest| rest.trim_start_matches('0').starts_with(&digits))
        });
        assert!(is_named, "{raw} of {name:?} in {text:?}");
    }
    let (count, names) = text.split_once(' ').unwrap_or((text, ""));
    let passed = passed_names(Some("7"), Some(count), Some(names), 7);
    assert_eq!(passed.len(), count.parse::<u16>().map_or(0, usize::from));
    assert!(passed.iter().all(|name| !name.is_empty() && !name.contains(':')));
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_it_says(text in "(([/a:.=,]|[0-9]){0,12}[=,]){0,5}[0-9]{0,2}( [a-z:]{0,9})?") {
            environment(&text);
        }
    }
}
