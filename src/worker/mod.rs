//! A worker process: set up, wait, serve, wait.
#![forbid(unsafe_code)]

pub mod exchange;
