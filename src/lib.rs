//! `php-cgi --fpm`: a FastCGI process manager for PHP. This file lists the modules; ARCHITECTURE.md explains them.

pub mod access_log;
pub mod cli;
pub mod config;
mod configured;
mod control;
#[cfg(feature = "php")]
mod door;
pub mod engine;
pub mod escape;
pub mod exchange;
mod exit;
pub mod fastcgi;
pub mod form;
pub mod host;
mod ipc;
pub mod json;
pub mod log;
mod metrics;
mod monitor;
mod overview;
#[cfg(feature = "php")]
mod php;
mod plan;
pub mod program;
pub mod request;
pub mod request_ids;
mod scoreboard;
pub mod script;
pub mod status;
mod supervisor;
pub mod sys;
mod text;
mod worker;
mod zygote;

/// What the fuzz targets test of private modules.
#[cfg(any(test, feature = "oracles"))]
pub mod oracles {
    pub use crate::ipc::oracle as ipc;
    pub use crate::monitor::oracle as monitor;
    pub use crate::scoreboard::oracle as scoreboard;
    pub use crate::supervisor::oracle as supervisor;
    pub use crate::supervisor::output::oracle as output;
    pub use crate::worker::oracle as worker;
}
