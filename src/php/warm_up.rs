//! A request without a script, run by a new worker before its first request: memory pages, symbols and tables that each request uses
//! are then in place.
//!
//! PHP does the same for a request whose script is missing, so a worker is afterwards in a state that any client could have caused.
//! Extensions take part in it (`RINIT`, `RSHUTDOWN`). One that counts or reports requests would see it, so it is only run if all
//! loaded extensions are known not to do that: those of PHP itself, with settings that let no request begin with an action of theirs.

use std::ffi::CStr;
use std::ptr::null_mut;

use super::ffi::{SUCCESS, module_registry, php_request_shutdown, php_request_startup, zend_extensions};
use super::{ini, report, value};

/// Extensions whose work at the start and the end of a request nobody can see: those of the PHP distribution. In alphabetical order.
const KNOWN: &[&[u8]] = &[
    b"bcmath",
    b"bz2",
    b"calendar",
    b"cgi-fcgi",
    b"core",
    b"ctype",
    b"curl",
    b"date",
    b"dba",
    b"dom",
    b"enchant",
    b"exif",
    b"ffi",
    b"fileinfo",
    b"filter",
    b"ftp",
    b"gd",
    b"gettext",
    b"gmp",
    b"hash",
    b"iconv",
    b"imap",
    b"intl",
    b"json",
    b"ldap",
    b"lexbor",
    b"libxml",
    b"mbstring",
    b"mysqli",
    b"mysqlnd",
    b"odbc",
    b"openssl",
    b"pcntl",
    b"pcre",
    b"pdo",
    b"pdo_dblib",
    b"pdo_firebird",
    b"pdo_mysql",
    b"pdo_odbc",
    b"pdo_pgsql",
    b"pdo_sqlite",
    b"pgsql",
    b"phar",
    b"posix",
    b"pspell",
    b"random",
    b"readline",
    b"reflection",
    b"session",
    b"shmop",
    b"simplexml",
    b"snmp",
    b"soap",
    b"sockets",
    b"sodium",
    b"spl",
    b"sqlite3",
    b"standard",
    b"sysvmsg",
    b"sysvsem",
    b"sysvshm",
    b"tidy",
    b"tokenizer",
    b"uri",
    b"xml",
    b"xmlreader",
    b"xmlwriter",
    b"xsl",
    b"zend opcache",
    b"zip",
    b"zlib",
];

/// Settings with which a request begins with an action: a session, or a function that gets all output.
const ACTIONS: [&CStr; 4] =
    [c"session.auto_start", c"output_handler", c"zlib.output_compression", c"tidy.clean_output"];

/// Runs the request, if it has no effect that scripts or people could see. Returns false if PHP cannot serve in this process any more.
/// To be called between two requests.
pub(super) fn run() -> bool {
    if !has_known_extensions() || ACTIONS.iter().any(|name| is_on(name)) {
        return true;
    }
    // SAFETY: PHP has started in the zygote, and no request runs.
    if unsafe { php_request_startup() } != SUCCESS {
        return false;
    }
    report::without_headers();
    // SAFETY: the request started above, and it is ended once.
    unsafe { php_request_shutdown(null_mut()) };
    true
}

fn has_known_extensions() -> bool {
    // SAFETY: the address of PHP's list (`ffi::host`). The value is copied.
    let of_engine = unsafe { (*zend_extensions()).count };
    // SAFETY: the address of PHP's table (`ffi::host`). PHP is not called while it is borrowed.
    let table = unsafe { &*module_registry() };
    // SAFETY: the keys of PHP's table of modules are their names.
    let mut buckets = unsafe { value::buckets(table) };
    let mut has_opcache = false;
    let all = buckets.all(|bucket| {
        // SAFETY: one of `buckets`.
        let name = unsafe { value::key(bucket) }.map(CStr::to_bytes).unwrap_or_default();
        has_opcache |= name == b"zend opcache";
        KNOWN.binary_search(&name).is_ok()
    });
    // opcache is an extension of the engine, too; no other one is known.
    all && of_engine == usize::from(has_opcache)
}

fn is_on(name: &CStr) -> bool {
    ini::text(name).is_some_and(|text| !matches!(text.as_str(), "" | "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        assert!(KNOWN.is_sorted());
    }
}
