//! What zygotes and workers write to stdout and stderr: it is read from pipes, cut into messages and logged.
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
