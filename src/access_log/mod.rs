//! The access log: the text of a line, and which requests get no line. No I/O: the worker supplies the facts and writes.
#![forbid(unsafe_code)]

mod facts;
mod format;
#[cfg(test)]
mod format_tests;
mod json_line;
mod render;

pub use facts::Facts;
pub use format::{Format, FormatError};

use crate::request::Description;

/// `access.suppress_path`: whether a request gets no line. As in php-fpm, requests with a query, a body or a method other
/// than GET and HEAD are always logged, and so are answers that are no success.
#[must_use]
pub fn is_suppressed(paths: &[String], request: &Description<'_>, status: u16) -> bool {
    request.query.is_empty()
        && matches!(request.method, b"GET" | b"HEAD")
        && (200..300).contains(&status)
        && request.content_length == 0
        && paths.iter().any(|path| path.as_bytes() == request.uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_successes_of_listed_paths_are_suppressed() {
        let paths = ["/ping".to_owned(), "/health.php".to_owned()];
        let plain = Description { method: b"GET", uri: b"/ping", ..Description::default() };
        let is = |request: &Description<'_>, status| is_suppressed(&paths, request, status);
        assert!(is(&plain, 200) && is(&plain, 299));
        assert!(is(&Description { method: b"HEAD", uri: b"/health.php", ..plain }, 204));
        assert!(!is(&plain, 300) && !is(&plain, 199) && !is(&plain, 0));
        assert!(!is(&Description { method: b"POST", ..plain }, 200));
        assert!(!is(&Description { method: b"get", ..plain }, 200));
        assert!(!is(&Description { query: b"a", ..plain }, 200));
        assert!(!is(&Description { content_length: 1, ..plain }, 200));
        assert!(!is(&Description { uri: b"/ping/", ..plain }, 200));
        assert!(!is_suppressed(&[], &plain, 200));
    }
}
