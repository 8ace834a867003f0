//! The effects of a start on the processes, as the kernel shows them, compared with stock php-fpm: as a daemon and in
//! the foreground, from a script, as a shell's job, with and without a terminal.
#![forbid(unsafe_code)]

mod facts;
mod same;
mod started;
mod terminal;
