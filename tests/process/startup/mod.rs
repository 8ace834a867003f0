//! What a start does to the processes beside serving, as the kernel shows it, compared with stock php-fpm: as a daemon and in the
//! foreground, from a script, as a shell's job, on a terminal and without one.
#![forbid(unsafe_code)]

mod facts;
mod same;
mod started;
mod terminal;
