//! Bytes as the parameters of a request; the first byte determines how they are cut.
#![no_main]

#[path = "../../tests/shared/wire/mod.rs"]
mod wire;

use libfuzzer_sys::fuzz_target;
use wire::properties::params_are_decoded;

fuzz_target!(|data: &[u8]| {
    if let Some((&cut, content)) = data.split_first() {
        params_are_decoded(content, &[cut]);
    }
});
