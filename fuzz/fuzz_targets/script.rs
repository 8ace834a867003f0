//! Bytes as a web server's variables about a script.
#![no_main]

#[path = "../../tests/shared/script/mod.rs"]
mod script;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| script::rules::rules_hold(data));
