//! Checks the properties in `wire::properties` of the FastCGI reader and writer with random input.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use proptest::collection::vec;
use proptest::prelude::*;

use crate::wire::properties::{
    LIMITS, cuts_change_nothing, params_are_decoded, read, requests_survive, wild_records, writes_survive,
};
use crate::wire::{Pairs, Request};

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => vec(any::<u8>(), 0..most.min(40)), 1 => vec(any::<u8>(), 0..most)]
}

fn pairs() -> impl Strategy<Value = Pairs> {
    let name = prop_oneof![3 => "[A-Z_]{1,3}".prop_map(String::into_bytes), 1 => bytes(300)];
    vec((name, bytes(1500)), 0..LIMITS.pairs)
}

prop_compose! {
    fn request()(
        id in 1..=u16::MAX,
        keep: bool,
        pairs in pairs(),
        body in bytes(100_000),
        piece in prop_oneof![1..50_usize, 50..65_536_usize],
        padding: u8,
    ) -> Request {
        // A long body in tiny records takes time and tests nothing more.
        let piece = piece.max(body.len() / 200);
        Request { id, keep, pairs, body, piece, padding }
    }
}

fn cuts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(vec![0]), vec(any::<u8>(), 1..20), vec(0..9_u8, 1..20)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_requests(requests in vec(request(), 1..4), cuts in cuts()) {
        requests_survive(&requests, &[]);
        requests_survive(&requests, &cuts);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in bytes(5000), cuts in cuts()) {
        cuts_change_nothing(&bytes, &cuts);
    }

    #[test]
    fn arbitrary_records_never_panic(plan in vec(any::<u8>(), 0..2000), cuts in cuts()) {
        cuts_change_nothing(&wild_records(&plan), &cuts);
    }

    #[test]
    fn a_stream_with_bytes_changed_never_panics(
        request in request(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        cuts in cuts(),
    ) {
        let mut bytes = request.encode();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        cuts_change_nothing(&bytes, &cuts);
    }

    #[test]
    fn arbitrary_params_are_decoded_or_refused(content in bytes(2000), cuts in cuts()) {
        params_are_decoded(&content, &cuts);
    }

    #[test]
    fn params_with_a_byte_changed_are_decoded_or_refused(pairs in pairs(), at: prop::sample::Index, byte: u8, cuts in cuts()) {
        let mut content = Vec::new();
        for (name, value) in &pairs {
            cgi_fpm::fastcgi::params::push_pair(&mut content, name, value);
        }
        if !content.is_empty() {
            let at = at.index(content.len());
            content[at] = byte;
        }
        params_are_decoded(&content, &cuts);
    }

    #[test]
    fn writes_come_out_whole(writes in vec((any::<bool>(), bytes(80_000), any::<bool>()), 0..12)) {
        writes_survive(&writes);
    }
}

#[test]
fn a_stream_that_ends_early_gives_what_it_has() {
    let bytes = Request::post(b"0123456789", true).encode();
    let whole = read(&bytes, &[]);
    assert!(whole.requests[0].complete);
    for cut in 0..bytes.len() {
        let part = read(&bytes[..cut], &[]);
        assert_eq!(part.refusal, None);
        assert!(
            part.requests.iter().all(|request| !request.complete && whole.requests[0].body.starts_with(&request.body))
        );
    }
}
