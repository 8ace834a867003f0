//! Bytes as a request to the monitor. The first byte says where they are cut in two.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((cut, bytes)) = data.split_first() else { return };
    cgi_fpm::oracles::monitor::request(bytes, usize::from(*cut));
});
