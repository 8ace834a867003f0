//! The supervisor: owns sockets, configuration, scoreboards, logs and signals. PHP is never started in it.
#![forbid(unsafe_code)]

mod base_control;
mod bases;
mod boot;
mod candidate;
mod carry_out;
mod children;
mod commands;
mod control_requests;
mod control_socket;
mod core;
mod daemon;
mod descriptors;
mod draining;
mod event_loop;
mod generation;
mod groups;
mod hear;
mod log_files;
mod log_lines;
mod monitor;
mod monitor_control;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod outdated;
pub(crate) mod output;
mod poller;
mod pools;
mod preparations;
mod probe;
mod reload;
mod renewal;
mod reopen;
mod responsiveness;
mod slow;
mod slow_requests;
mod sockets;
mod start_zygote;
mod stopped_children;
mod stranded;
mod systemd;
mod systemd_status;
mod view;
mod worker_counts;

pub(crate) use boot::start;
pub(crate) use reload::{check, resume};
