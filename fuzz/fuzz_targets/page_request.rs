//! Bytes as a query string and, after the first newline, an authorization.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |&byte| byte == b'\n');
    cgi_fpm::oracles::worker::page_request(parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
});
