//! The program of `make bench`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    match bench::run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            testkit::say(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}
