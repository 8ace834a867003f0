//! The documentation is true: these tests run its samples, tables and commands unchanged.
#![forbid(unsafe_code)]

mod configuration;
mod migration;
mod samples;
mod scripts;
mod security;
mod shared_hosting;
