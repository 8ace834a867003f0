//! The generations of groups and pools: what their processes use, and how they are started.
#![forbid(unsafe_code)]

mod access_logs;
mod drain;
mod error;
mod launch;
pub mod own_limits;
mod plans;
mod resolve;
mod runtime;
mod runtimes;
mod totals;

pub use access_logs::Opened;
pub use drain::{Drain, DrainState};
pub use error::StartError;
pub use launch::{Launch, Launched};
pub use resolve::resolve;
pub use runtime::{GroupRuntime, PoolRuntime, Runtime, Successor};
pub use runtimes::Runtimes;
pub use totals::PoolTotals;
