//! Bytes as an `access.format` and, after the first NUL, the text that a client sends.
#![no_main]

#[path = "../../tests/library/access_format/properties.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |&byte| byte == 0);
    if let (Some(Ok(format)), Some(text)) = (parts.next().map(std::str::from_utf8), parts.next()) {
        properties::no_client_forges_a_line(format, text);
    }
});
