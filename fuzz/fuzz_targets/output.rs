//! A worker's output gives the same messages however it is cut. As text it has no character that steers a terminal,
//! and in the JSON format every line is an object.
#![no_main]

use cgi_fpm::escape;
use cgi_fpm::oracles::output as oracle;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, Vec<u8>, Vec<u8>)| {
    let (a, b, c) = &input;
    assert_eq!(oracle::check(&[a, b, c]), Ok(()));
    assert!(!escape::line(a).contains(|c: char| escape::steers(c) && c != '\t'));
});
