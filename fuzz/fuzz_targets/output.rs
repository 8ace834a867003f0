//! A worker's output, cut anywhere, gives the same messages: as text without a character that steers a terminal, and in the JSON
//! form objects only.
#![no_main]

use cgi_fpm::escape;
use cgi_fpm::supervisor::output::oracle;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, Vec<u8>, Vec<u8>)| {
    let (a, b, c) = &input;
    assert_eq!(oracle::check(&[a, b, c]), Ok(()));
    assert!(!escape::line(a).contains(|c: char| escape::steers(c) && c != '\t'));
});
