//! The settings of the original's php-fpm.conf, each with the directive that has replaced it.

use super::values::Kind;

/// A `<value name="…">`.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

/// The content of a setting.
#[derive(Debug)]
pub(super) enum Shape {
    /// A text, and the directive of the ini file.
    Scalar(Kind, &'static str),
    /// Settings of its own.
    Group(&'static [Setting]),
    /// Values with any names, and the directive whose keys these become.
    Pairs(&'static str),
}

const fn scalar(name: &'static str, kind: Kind, directive: &'static str) -> Setting {
    Setting { name, shape: Shape::Scalar(kind, directive) }
}

/// `<section name="global_options">`.
pub(super) const GLOBAL: &[Setting] = &[
    scalar("pid_file", Kind::Path, "pid"),
    scalar("error_log", Kind::Path, "error_log"),
    scalar("log_level", Kind::LogLevel, "log_level"),
    scalar("emergency_restart_threshold", Kind::Integer, "emergency_restart_threshold"),
    scalar("emergency_restart_interval", Kind::Time, "emergency_restart_interval"),
    scalar("process_control_timeout", Kind::Time, "process_control_timeout"),
    scalar("daemonize", Kind::Flag, "daemonize"),
];

/// Not a directive: the pool's name.
pub(super) const NAME: &str = "name";

/// `<section name="pool">`.
pub(super) const POOL: &[Setting] = &[
    scalar("name", Kind::Text, NAME),
    scalar("listen_address", Kind::Address, "listen"),
    Setting { name: "listen_options", shape: Shape::Group(LISTEN_OPTIONS) },
    Setting { name: "php_defines", shape: Shape::Pairs("php_admin_value") },
    scalar("user", Kind::Text, "user"),
    scalar("group", Kind::Text, "group"),
    scalar("chroot", Kind::Directory, "chroot"),
    scalar("chdir", Kind::Directory, "chdir"),
    scalar("allowed_clients", Kind::Text, "listen.allowed_clients"),
    Setting { name: "environment", shape: Shape::Pairs("env") },
    scalar("request_terminate_timeout", Kind::Time, "request_terminate_timeout"),
    scalar("request_slowlog_timeout", Kind::Time, "request_slowlog_timeout"),
    scalar("slowlog", Kind::Path, "slowlog"),
    scalar("rlimit_files", Kind::Integer, "rlimit_files"),
    scalar("rlimit_core", Kind::CoreLimit, "rlimit_core"),
    scalar("max_requests", Kind::Integer, "pm.max_requests"),
    scalar("catch_workers_output", Kind::Flag, "catch_workers_output"),
    Setting { name: "pm", shape: Shape::Group(PM) },
];

const LISTEN_OPTIONS: &[Setting] = &[
    scalar("backlog", Kind::Integer, "listen.backlog"),
    scalar("owner", Kind::Text, "listen.owner"),
    scalar("group", Kind::Text, "listen.group"),
    scalar("mode", Kind::Mode, "listen.mode"),
];

const PM: &[Setting] = &[
    scalar("style", Kind::Style, "pm"),
    scalar("max_children", Kind::Integer, "pm.max_children"),
    Setting { name: "apache_like", shape: Shape::Group(APACHE_LIKE) },
];

const APACHE_LIKE: &[Setting] = &[
    scalar("StartServers", Kind::Integer, "pm.start_servers"),
    scalar("MinSpareServers", Kind::Integer, "pm.min_spare_servers"),
    scalar("MaxSpareServers", Kind::Integer, "pm.max_spare_servers"),
];
