//! `php-cgi --fpm`: a FastCGI process manager for PHP. The map of the rooms; ARCHITECTURE.md tells the story.

pub mod access_log;
pub mod cli;
pub mod config;
pub mod control;
pub mod engine;
pub mod escape;
pub mod fastcgi;
pub mod host;
pub mod ipc;
pub mod json;
pub mod log;
#[cfg(feature = "php")]
pub mod php;
pub mod plan;
pub mod program;
pub mod scoreboard;
pub mod script;
pub mod status;
pub mod supervisor;
pub mod sys;
pub mod text;
pub mod worker;
pub mod zygote;
