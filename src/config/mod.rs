//! php-fpm.conf: text to checked values.
#![forbid(unsafe_code)]

mod model;

pub use model::{Config, CoreLimit, Global, ListenAddr, LogLevel, PhpSetting, Pool, ProcessManager};
