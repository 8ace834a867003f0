//! Finds the script of a request from its FastCGI variables by php-fpm's rules, without PHP and without I/O; and opens the
//! file that contains a request's body.
#![forbid(unsafe_code)]

pub mod body_file;
pub mod env;
pub mod guard;
pub mod resolve;
mod server;
#[cfg(test)]
mod tests;
