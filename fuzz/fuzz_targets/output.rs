//! A worker's output, cut anywhere, gives the same messages.
#![no_main]

use cgi_fpm::log::splitter;

libfuzzer_sys::fuzz_target!(|input: (Vec<u8>, Vec<u8>, Vec<u8>)| {
    let (a, b, c) = &input;
    assert_eq!(splitter::check(&[a, b, c]), Ok(()));
});
