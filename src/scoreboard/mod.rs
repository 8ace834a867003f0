//! What workers tell about themselves: one sealed memory per generation of a pool, atomic words, no lock. Beside it
//! the pool's totals (`totals.rs`), which outlive generations.
//!
//! A slot has a dense part, for whoever counts, and behind all slots a wide one with texts (`texts.rs`). Each word has one
//! writer: the worker of the slot, but for `DRAIN`, `CLOSING` and `END`, which only the supervisor writes. The supervisor trusts nothing in
//! here: there are no pointers, a pid in here is only shown, and lengths are cut to their places.
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod slot;
mod slots;
mod snapshot;
mod texts;
mod totals;

pub use slot::{Ended, Slot};
pub use slots::{Readiness, Scoreboard, create};
pub use totals::{Counter, Totals};

#[cfg(test)]
mod tests;
