//! Bytes as a client's stream, raw or as records: the first byte selects which, the second determines how they are
//! cut.
#![no_main]

#[path = "../../tests/shared/wire/mod.rs"]
mod wire;

use libfuzzer_sys::fuzz_target;
use wire::properties::{cuts_change_nothing, wild_records};

fuzz_target!(|data: &[u8]| {
    if let Some((&[raw, cut], stream)) = data.split_first_chunk() {
        match raw & 1 {
            0 => cuts_change_nothing(&wild_records(stream), &[cut]),
            _ => cuts_change_nothing(stream, &[cut]),
        }
    }
});
