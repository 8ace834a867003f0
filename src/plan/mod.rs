//! Decisions: events in, actions out. No clock, no processes, no descriptors; the time is an argument.
#![forbid(unsafe_code)]

pub mod budget;
pub mod crashes;
pub mod expiring;
pub mod fleet;
pub mod groups;
pub mod pause;
pub mod protocol;
pub mod reload;
pub mod scaling;
pub mod surge;
pub mod systemd;
pub mod watch;
