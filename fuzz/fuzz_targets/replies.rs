//! Bytes as the writes of a script, three bytes per write: its stream, whether it is flushed, and its length.
#![no_main]

#[path = "../../tests/shared/wire/mod.rs"]
mod wire;

use libfuzzer_sys::fuzz_target;
use wire::properties::writes_survive;

fuzz_target!(|data: &[u8]| {
    let (plan, _) = data.as_chunks::<3>();
    let writes: Vec<_> = plan
        .iter()
        .map(|&[flags, high, low]| {
            let length = usize::from(u16::from_be_bytes([high, low])) << (flags >> 2 & 1);
            (flags & 1 == 1, vec![low; length], flags & 2 == 2)
        })
        .collect();
    writes_survive(&writes);
});
