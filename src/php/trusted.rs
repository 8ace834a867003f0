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

/// Whether these lines refer to the value of a setting or an environment variable (`${NAME}`), which an answer could reveal.
pub(super) fn look_something_up(lines: &[u8]) -> bool {
    lines.windows(2).any(|two| two == b"${")
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
        assert!(look_something_up(b"default_mimetype=\"${SECRET}\""));
        assert!(!look_something_up(b"error_reporting=E_ALL & ~E_NOTICE\nsession.name=$x{}"));
    }
}
