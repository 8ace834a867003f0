//! Bytes as an XML php-fpm.conf of the original patch; what is read must come out of its ini file the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cgi_fpm::config::oracle::check_xml(data));
