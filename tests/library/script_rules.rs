//! The path rules hold what `script::rules::rules_hold` says, for cases made at random.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_server_says(bytes in vec(any::<u8>(), 0..48)) {
        crate::script::rules::rules_hold(&bytes);
    }
}
