//! Which script a request means, from its FastCGI variables: php-fpm's rules, without PHP and without I/O.
#![forbid(unsafe_code)]

pub mod env;
pub mod guard;
pub mod resolve;
mod server;
#[cfg(test)]
mod tests;
