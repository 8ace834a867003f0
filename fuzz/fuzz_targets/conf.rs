//! Bytes as the lines of a php-fpm.conf.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cgi_fpm::config::oracle::read_lines(data));
