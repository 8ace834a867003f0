//! Bytes as lines of /proc/self/mountinfo, which contain names that users choose.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| cgi_fpm::sys::named_file::oracle::mount_table(&String::from_utf8_lossy(data)));
