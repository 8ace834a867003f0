//! Bytes as a message between processes; the first byte selects the kind.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((&kind, bytes)) = data.split_first() {
        cgi_fpm::oracles::ipc::messages(kind, bytes);
    }
});
