//! Bytes as a header `traceparent` and as the id of a request.
#![no_main]

#[path = "../../tests/library/request_ids/properties.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    properties::a_header_is_read_as_by_the_standard(data);
    properties::an_accepted_id_is_harmless(data);
});
