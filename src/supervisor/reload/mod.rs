//! SIGUSR2: checks the new program and configuration, hands everything over to it by exec, and starts the next generation there.
//! Requests go on all the time.

mod adopt;
mod capture;
mod check;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
pub mod progress;
mod resume;
mod state;
mod steps;

pub use check::run as check;
pub use resume::resume;
