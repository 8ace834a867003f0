//! Messages on a terminal: before there is a log, and of commands that do not serve.

use super::texts;

texts! {
    /// The environment is that of a CGI request: a web server has started php-cgi for a request whose query string became
    /// the command line. Nothing is started (CVE-2012-1823).
    [Ours Stderr] refused_in_a_cgi_environment() =
        "php-cgi --fpm: refused, the environment is that of a CGI request",
        do "Start php-fpm from a shell or an init system, not by a web server. Unset GATEWAY_INTERFACE and SERVER_SOFTWARE.";

    /// The library does not know the file that it was loaded from.
    [Ours Stderr] own_library_not_found() = "php-cgi --fpm: cannot find its own library",
        do "Check that the library was loaded from a file that still exists.";

    /// `LD_PRELOAD` puts the library into a program that is not php-cgi.
    [Ours Stderr] host_is_not_php() =
        "php-cgi --fpm: this program is not PHP, or does not export PHP's symbols: cgi-fpm needs php-cgi",
        do "Preload the library into php-cgi.";

    /// cgi-fpm needs a PHP without thread safety.
    [Ours Stderr] host_is_thread_safe() =
        "php-cgi --fpm: this PHP is built with thread safety (ZTS), which cgi-fpm does not support",
        do "Use a PHP that is built without --enable-zts.";

    /// One of PHP and cgi-fpm is built in debug mode, the other is not.
    [Ours Stderr] host_in_another_mode(built, host) =
        "php-cgi --fpm: this cgi-fpm is built for a PHP {built} --enable-debug, the host is one {host} it",
        do "Build cgi-fpm against the php-cgi that loads it.";

    /// The library is built for another PHP version.
    [Ours Stderr] host_has_another_api(number, version, host) =
        "php-cgi --fpm: this cgi-fpm is built for PHP API {number} (PHP {version}), the host has {host}",
        do "Install the cgi-fpm that belongs to this PHP.";

    /// The same, where the program tells only its version.
    [Ours Stderr] host_has_another_version(version, host) =
        "php-cgi --fpm: this cgi-fpm is built for PHP {version}, the host is PHP {host}",
        do "Install the cgi-fpm that belongs to this PHP.";

    /// PHP does not export a symbol that cgi-fpm needs.
    [Ours Stderr] host_lacks_a_symbol(name) = "php-cgi --fpm: this PHP lacks the symbol '{name}', which cgi-fpm needs",
        do "Use a php-cgi that is linked with -export-dynamic and not stripped of its dynamic symbols.";
}
