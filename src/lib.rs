//! `php-cgi --fpm`: a FastCGI process manager for PHP. The map of the rooms; ARCHITECTURE.md tells the story.

pub mod config;
pub mod engine;
pub mod fastcgi;
pub mod plan;
pub mod worker;
#[cfg(feature = "php")]
pub mod php;
pub mod sys;
