//! What the documentation says is true: its samples, tables and commands, as they stand there.
#![forbid(unsafe_code)]

mod configuration;
mod migration;
mod samples;
mod scripts;
