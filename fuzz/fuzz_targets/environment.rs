//! Bytes as `FPM_SOCKETS`, and as `LISTEN_FDS` and `LISTEN_FDNAMES` with a blank between them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        cgi_fpm::oracles::supervisor::environment(text);
    }
});
