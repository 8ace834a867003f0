//! Checks the property `script::rules::rules_hold` of the path rules with random cases.
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
