//! Decisions: events in, actions out. No clock, no fork, no descriptor; time comes as an argument.
#![forbid(unsafe_code)]

pub mod budget;
pub mod crashes;
pub mod expiring;
pub mod fleet;
pub mod groups;
pub mod scaling;
pub mod surge;
pub mod systemd;
pub mod watch;
