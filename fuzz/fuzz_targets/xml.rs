//! Bytes as an XML php-fpm.conf of the original patch; the ini file made from it must give the same configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cgi_fpm::config::oracle::check_xml(data));
