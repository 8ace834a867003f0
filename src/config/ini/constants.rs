//! Constants of PHP with the same value in every build. php-fpm replaces them in values without quotes: `E_ALL & ~E_NOTICE`.

/// The value of a core constant, as text. Version and paths depend on the host and are not known here.
pub(crate) fn core_constant(name: &str) -> Option<&'static str> {
    let special = ["true", "false", "null"].into_iter().find(|word| name.eq_ignore_ascii_case(word));
    match special {
        Some("true") => return Some("1"),
        Some(_) => return Some(""),
        None => {}
    }
    CONSTANTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

const CONSTANTS: &[(&str, &str)] = &[
    ("E_ALL", "32767"),
    ("E_ERROR", "1"),
    ("E_WARNING", "2"),
    ("E_PARSE", "4"),
    ("E_NOTICE", "8"),
    ("E_CORE_ERROR", "16"),
    ("E_CORE_WARNING", "32"),
    ("E_COMPILE_ERROR", "64"),
    ("E_COMPILE_WARNING", "128"),
    ("E_USER_ERROR", "256"),
    ("E_USER_WARNING", "512"),
    ("E_USER_NOTICE", "1024"),
    ("E_STRICT", "2048"),
    ("E_RECOVERABLE_ERROR", "4096"),
    ("E_DEPRECATED", "8192"),
    ("E_USER_DEPRECATED", "16384"),
    ("LOG_EMERG", "0"),
    ("LOG_ALERT", "1"),
    ("LOG_CRIT", "2"),
    ("LOG_ERR", "3"),
    ("LOG_WARNING", "4"),
    ("LOG_NOTICE", "5"),
    ("LOG_INFO", "6"),
    ("LOG_DEBUG", "7"),
    ("LOG_KERN", "0"),
    ("LOG_USER", "8"),
    ("LOG_MAIL", "16"),
    ("LOG_DAEMON", "24"),
    ("LOG_AUTH", "32"),
    ("LOG_SYSLOG", "40"),
    ("LOG_LPR", "48"),
    ("LOG_NEWS", "56"),
    ("LOG_UUCP", "64"),
    ("LOG_CRON", "72"),
    ("LOG_AUTHPRIV", "80"),
    ("LOG_LOCAL0", "128"),
    ("LOG_LOCAL1", "136"),
    ("LOG_LOCAL2", "144"),
    ("LOG_LOCAL3", "152"),
    ("LOG_LOCAL4", "160"),
    ("LOG_LOCAL5", "168"),
    ("LOG_LOCAL6", "176"),
    ("LOG_LOCAL7", "184"),
    ("PHP_OS", "Linux"),
    ("PHP_OS_FAMILY", "Linux"),
    ("PHP_EOL", "\n"),
    ("PHP_SAPI", "fpm-fcgi"),
    ("PHP_MAXPATHLEN", "4096"),
    ("PHP_INT_MAX", "9223372036854775807"),
    ("PHP_INT_MIN", "-9223372036854775808"),
    ("PHP_INT_SIZE", "8"),
    ("DIRECTORY_SEPARATOR", "/"),
    ("PATH_SEPARATOR", ":"),
];
