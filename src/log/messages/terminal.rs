//! What is printed to a terminal before there is a log, and by commands that don't serve.

use super::texts;

texts! {
    /// The environment is that of a CGI request: a web server has started php-cgi for a request whose query string became
    /// the command line. Nothing is started (CVE-2012-1823).
    [Ours Stderr] refused_in_a_cgi_environment() =
        "php-cgi --fpm: refused, the environment is that of a CGI request",
        do "Start php-fpm from a shell or an init system, not by a web server. Unset GATEWAY_INTERFACE and SERVER_SOFTWARE.";
}
