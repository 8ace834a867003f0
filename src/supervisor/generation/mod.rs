//! One generation of groups and pools: what its processes hang on, and how they are started.
#![forbid(unsafe_code)]

pub mod drain;
mod error;
pub mod launch;
pub mod own_limits;
pub mod resolve;
pub mod runtime;
pub mod totals;

pub use error::StartError;
pub use runtime::Runtimes;
pub use totals::Book;
