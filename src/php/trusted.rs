//! `security.fastcgi_php_value = user`: the settings that an untrusted web server may send. A client that reaches the socket can
//! forge a request. So the list has no setting that names code, a function, a file or a host, none that disables a protection or
//! changes the meaning of source code, none that outlasts the request, and none whose value can keep requests from starting
//! (`output_buffering`).

use std::ffi::CStr;

/// Settings of PHP and of its bundled extensions, sorted.
const LIMITED_TO_THE_REQUEST: [&str; 40] = [
    "date.timezone",
    "default_charset",
    "default_mimetype",
    "default_socket_timeout",
    "display_errors",
    "display_startup_errors",
    "error_reporting",
    "html_errors",
    "ignore_repeated_errors",
    "ignore_repeated_source",
    "ignore_user_abort",
    "implicit_flush",
    "intl.default_locale",
    "intl.error_level",
    "intl.use_exceptions",
    "log_errors",
    "max_execution_time",
    "max_file_uploads",
    "max_input_nesting_level",
    "max_input_time",
    "max_input_vars",
    "max_multipart_body_parts",
    "memory_limit",
    "pcre.backtrack_limit",
    "pcre.recursion_limit",
    "post_max_size",
    "precision",
    "serialize_precision",
    "session.cache_expire",
    "session.cache_limiter",
    "session.cookie_domain",
    "session.cookie_httponly",
    "session.cookie_lifetime",
    "session.cookie_path",
    "session.cookie_samesite",
    "session.cookie_secure",
    "session.name",
    "upload_max_filesize",
    "zlib.output_compression",
    "zlib.output_compression_level",
];

/// Whether the setting is on the list.
pub(super) fn is_harmless(name: &CStr) -> bool {
    name.to_str().is_ok_and(|name| LIMITED_TO_THE_REQUEST.binary_search(&name).is_ok())
}

/// What these lines refer to and an answer could reveal: the value of a setting or an environment variable (`${NAME}`), or a
/// constant. An extension may have constants that are no business of the client. Those for `error_reporting` are allowed.
/// `is_constant` says whether PHP has a constant of that name.
pub(super) fn looked_up(lines: &[u8], is_constant: impl Fn(&str) -> bool) -> Option<&'static [u8]> {
    if lines.windows(2).any(|two| two == b"${") {
        return Some(b"${...} in ");
    }
    // Words in quotes count, too: to find out what is quoted takes PHP's own parser.
    let words = lines.split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'));
    let reveals = |word: &str| {
        let plain = word.starts_with("E_") || ["true", "false", "null"].contains(&word.to_ascii_lowercase().as_str());
        !word.is_empty() && !plain && is_constant(word)
    };
    let constant = words.filter_map(|word| std::str::from_utf8(word).ok()).any(reveals);
    constant.then_some(b"a constant in ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_found() {
        assert!(LIMITED_TO_THE_REQUEST.is_sorted());
        assert!(is_harmless(c"memory_limit") && is_harmless(c"date.timezone"));
        for name in [c"auto_prepend_file", c"open_basedir", c"", c"Memory_limit", c"include_path"] {
            assert!(!is_harmless(name), "{name:?}");
        }
    }

    #[test]
    fn lines_that_look_something_up_are_known() {
        let looked_up =
            |lines: &[u8]| looked_up(lines, |name| ["E_ALL", "E_NOTICE", "true", "SECRET", "NAN"].contains(&name));
        assert!(looked_up(b"default_mimetype=\"${SECRET}\"").is_some());
        assert!(looked_up(b"error_reporting=E_ALL & ~E_NOTICE\nsession.name=$x{}\nhtml_errors=true").is_none());
        for lines in ["default_mimetype=SECRET", "a=1\nsession.name = x SECRET", "error_reporting=E_ALL&NAN"] {
            assert!(looked_up(lines.as_bytes()).is_some(), "{lines}");
        }
        assert!(looked_up(b"session.name=SECRETS").is_none());
    }
}
