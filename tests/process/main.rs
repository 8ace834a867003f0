//! The lifecycle of supervisor, zygotes and workers: start, reload, signals, death, logs, sockets, and the isolation
//! of pools.
#![forbid(unsafe_code)]

mod base;
mod caches;
mod command_line;
mod control;
mod costs;
mod cpu_time;
mod daemon;
mod death;
mod descriptors;
mod exporter;
mod groups;
mod half_sent;
mod hostile;
mod identity;
mod logs;
mod monitor;
mod opcache;
mod output;
mod partial_reload;
mod php_ini;
mod pipes;
mod pool_php;
mod reload;
mod retained;
mod root;
mod signals;
mod signals_to_all;
mod sockets;
mod startup;
mod stop;
mod syslog;
mod systemd;
mod takeover;
mod titles;
mod unprivileged;
mod unread_log;
mod upgrade;
mod walls;
mod worker_signals;
mod xml_config;
