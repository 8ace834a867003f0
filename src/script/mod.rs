//! Which script a request means, from its FastCGI variables: php-fpm's rules, without PHP and without I/O. And the file
//! that may be its body.
#![forbid(unsafe_code)]

pub mod body_file;
pub mod env;
pub mod guard;
pub mod resolve;
mod server;
#[cfg(test)]
mod tests;
