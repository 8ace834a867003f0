//! Bytes as arguments, which newlines separate.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cgi_fpm::cli::oracle::parse_lines(data));
