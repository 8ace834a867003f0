//! The output of zygotes and workers on stdout and stderr. The supervisor reads it from pipes, cuts it into messages and logs them.
#![forbid(unsafe_code)]

mod bounded;
mod closing;
mod intakes;
mod message;
mod object;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod outputs;
mod pipe;
pub mod splitter;
mod writer;

pub use bounded::Bounded;
pub use outputs::Outputs;
pub use writer::Writer;
