//! Decisions: events in, actions out. No clock, no processes, no descriptors; the time is an argument.
#![forbid(unsafe_code)]

pub(crate) mod base;
pub(crate) mod budget;
pub(crate) mod crashes;
pub(crate) mod descriptors;
pub(crate) mod events;
pub(crate) mod exit_reason;
#[cfg(any(test, feature = "php"))]
pub(crate) mod expiring;
pub(crate) mod fleet;
pub(crate) mod groups;
pub(crate) mod oom_window;
pub(crate) mod pause;
pub(crate) mod privileged;
pub(crate) mod protocol;
pub(crate) mod reload;
pub(crate) mod retained;
pub(crate) mod scaling;
pub(crate) mod surge;
pub(crate) mod systemd;
pub(crate) mod watch;
