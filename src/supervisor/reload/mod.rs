//! SIGUSR2: checks the new program and configuration, hands everything over to it by exec, and starts the next generation there.
//! Requests go on all the time.

mod adopt;
mod capture;
mod changes;
mod check;
#[cfg(any(test, feature = "oracles"))]
pub(super) mod oracle;
mod part;
pub(super) mod progress;
mod resume;
mod state;
mod steps;

pub(crate) use check::run as check;
pub(crate) use resume::resume;
