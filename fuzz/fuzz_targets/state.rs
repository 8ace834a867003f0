//! Bytes as the state that one image of the supervisor leaves to the next.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cgi_fpm::oracles::supervisor::state(data));
