//! Ids that clients send: of requests, and of traces.

mod properties;

use proptest::prelude::*;

const VALID: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

proptest! {
    #[test]
    fn headers_near_the_standard(at in 0..VALID.len(), byte in any::<u8>(), end in "[-0-9a-f]{0,3}", cut in 0..4_usize) {
        let mut header = VALID.to_vec();
        header[at] = byte;
        header.extend_from_slice(end.as_bytes());
        properties::a_header_is_read_as_by_the_standard(&header);
        header.truncate(VALID.len() - cut);
        properties::a_header_is_read_as_by_the_standard(&header);
    }

    #[test]
    fn headers_with_other_numbers(header in "(0[0-2]|f[ef]|[0-9a-f]{2})-([0-9a-f]{32}|0{32})-([0-9a-f]{16}|0{16})-[0-9a-f]{2}(-.*)?") {
        properties::a_header_is_read_as_by_the_standard(header.as_bytes());
    }

    #[test]
    fn ids_of_all_kinds(id in proptest::collection::vec(any::<u8>(), 0..200), text in "[!-~]{1,4}|[-.0-9A-Za-z]{1,140}") {
        properties::an_accepted_id_is_harmless(&id);
        properties::an_accepted_id_is_harmless(text.as_bytes());
    }
}
