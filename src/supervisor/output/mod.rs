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
pub(crate) mod splitter;
mod writer;

pub(crate) use bounded::Bounded;
pub(crate) use outputs::Outputs;
pub(crate) use pipe::take_dropped;
pub(crate) use writer::Writer;
