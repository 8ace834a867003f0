//! Slow requests: who is asked where a script is, and the file that the answers go to.
#![forbid(unsafe_code)]

pub mod slowlog;
pub mod tracers;

pub use slowlog::Unwritten;
pub use tracers::Tracer;
