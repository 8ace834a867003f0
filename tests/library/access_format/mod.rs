//! Checks the properties in `properties` with random formats and clients.
#![forbid(unsafe_code)]

mod properties;

use properties::no_client_forges_a_line;
use proptest::collection::vec;
use proptest::prelude::*;

/// Random formats, most of them valid.
fn formats() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "%[CdflmMnpPqQrRstTu%]",
        2 => "%\\{[A-Za-z-]{1,8}\\}[eotT]",
        1 => "%\\{(user|milli|kilo)\\}[CdM]",
        1 => "[ -~\t\u{e9}]{0,4}",
        1 => "[%{}a-z]{0,4}|.{0,4}",
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn json_lines(names in vec("%\\{[A-Za-z-]{1,8}\\}[eo]", 0..3), text in vec(any::<u8>(), 0..60)) {
        no_client_forges_a_line(&format!("json {}", names.join(" ")), &text);
    }

    #[test]
    fn lines(format in formats(), text in prop_oneof![vec(any::<u8>(), 0..60), ".{0,40}".prop_map(String::into_bytes)]) {
        no_client_forges_a_line(&format, &text);
    }
}
