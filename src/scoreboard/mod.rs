//! What workers publish about themselves: one sealed shared memory per generation of a pool, made of atomic words
//! without a lock. The pool's totals (`totals.rs`) are in a second memory, which outlives generations.
//!
//! Each slot has a dense part with numbers, a wide part with texts (`texts.rs`) after the dense parts of all slots, and ids
//! (`ids.rs`) after the texts of all slots. Each word has one writer: the worker of the slot, except `DRAIN`, `CLOSING` and `END`,
//! which only the supervisor writes. The supervisor trusts no value in here: there are no pointers, a pid is only shown, and lengths
//! are cut to the size of their fields.
#![forbid(unsafe_code)]

mod board_view;
mod code_cache;
mod counter;
mod histogram;
mod ids;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod section;
mod service;
mod slot;
mod slots;
mod snapshot;
mod texts;
mod totals;

pub(crate) use board_view::{BoardView, Counts, RunningView, SlotView};
pub(crate) use code_cache::CacheView;
pub(crate) use counter::{Counter, RISING};
pub(crate) use histogram::{BOUNDS, Histogram, bound};
pub(crate) use service::{Fact, Service, ServiceView};
pub(crate) use slot::{Ended, Slot};
pub(crate) use slots::{Readiness, Scoreboard, create};
pub(crate) use totals::{CLASSES, Totals, TotalsView};

#[cfg(test)]
mod tests;
