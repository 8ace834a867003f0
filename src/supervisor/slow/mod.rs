//! Slow requests: asks workers' tracers where a script is, and writes the answers to slow logs.
#![forbid(unsafe_code)]

mod slow_logs;
mod tracers;

pub(super) use slow_logs::{SlowLogs, in_one_line};
pub(super) use tracers::{Answer, Question, Tracers};
