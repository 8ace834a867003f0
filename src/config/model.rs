//! The checked configuration: plain values that can be passed to another process as JSON.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::clients::AllowedClients;
use super::types::{BaseUse, CoreLimit, EngineKey, ErrorLog, ListenAddr, PhpSetting, PhpValuePolicy, ProcessManager};
use crate::access_log::Format;
use crate::log;

/// A whole php-fpm.conf.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The file that was read.
    pub file: PathBuf,
    /// `[global]`.
    pub global: Global,
    /// The pools in the order of the file, then one for each `pm.status_listen`.
    pub pools: Vec<PoolConfig>,
}

/// `[global]`. A duration of zero means "off", as in php-fpm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the directives; the directive table documents them")]
pub struct Global {
    pub pid: Option<PathBuf>,
    pub error_log: ErrorLog,
    pub syslog_ident: String,
    pub syslog_facility: i32,
    pub log_buffering: bool,
    pub log_level: log::Level,
    #[serde(default)]
    pub log_format: log::Format,
    pub log_limit: usize,
    pub emergency_restart_threshold: u32,
    pub emergency_restart_interval: Duration,
    pub process_control_timeout: Duration,
    /// 0: no limit.
    pub process_max: u32,
    pub process_priority: Option<i32>,
    pub daemonize: bool,
    pub rlimit_files: Option<u64>,
    pub rlimit_core: Option<CoreLimit>,
    pub events_mechanism: Option<String>,
    pub systemd_interval: Duration,
    /// systemd's watchdog is on; `systemd_interval` is then half of its time.
    pub systemd_watchdog: bool,
    /// `on_sigterm`: whether SIGTERM lets requests finish. `None`: only as process 1.
    #[serde(default)]
    pub sigterm_is_graceful: Option<bool>,
    #[serde(default)]
    pub shutdown_delay: Duration,
    /// `process.group` in `[global]`: `shared` puts all pools into one zygote.
    pub process_group: Option<String>,
    /// `process.start_failure` is `stop`.
    #[serde(default)]
    pub start_failure_stops: bool,
    /// `process.start_parallel`; `None`: by the number of processors.
    #[serde(default)]
    pub start_parallel: Option<u32>,
    /// `process.drain_patience`; zero: no limit.
    #[serde(default)]
    pub drain_patience: Duration,
    /// `process.group_idle_timeout` in `[global]`.
    #[serde(default)]
    pub group_idle_timeout: Duration,
    /// `process.base`
    #[serde(default)]
    pub base: BaseUse,
    /// `process.base_user`
    #[serde(default = "nobody")]
    pub base_user: String,
    /// `control.socket`, or the place beside the pid file.
    #[serde(default)]
    pub control_socket: Option<PathBuf>,
    /// `monitor.listen` and the like.
    #[serde(default)]
    pub monitor: Option<MonitorConfig>,
}

/// The monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorConfig {
    /// `monitor.listen`: an absolute path, or an address with a port.
    pub listen: String,
    /// `monitor.mode`.
    pub mode: u32,
    /// `monitor.owner`.
    #[serde(default)]
    pub owner: Option<u32>,
    /// `monitor.group`, or else the group of `monitor.owner`.
    #[serde(default)]
    pub group: Option<u32>,
    /// `monitor.allowed_hosts`, in lower case.
    pub allowed_hosts: Vec<String>,
    /// `monitor.show_requests`.
    #[serde(default)]
    pub show_requests: bool,
}

impl MonitorConfig {
    /// Its TCP address; `None`: it is a unix socket.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }
}

/// One pool section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the directives; the directive table documents them")]
pub struct PoolConfig {
    pub name: String,
    /// The pool is not in the file: it serves `pm.status_listen` of the pool named here.
    pub status_of: Option<String>,
    pub prefix: Option<PathBuf>,
    pub user: Option<String>,
    pub group: Option<String>,
    /// `process.group`: pools of one name share a zygote.
    pub process_group: Option<String>,
    /// `process.group_idle_timeout` of the pool, if it is set.
    #[serde(default)]
    pub group_idle_timeout: Option<Duration>,
    /// `process.php` and the like.
    #[serde(default)]
    pub engine: EngineKey,
    pub listen: Vec<ListenAddr>,
    pub listen_backlog: i32,
    pub listen_owner: Option<String>,
    pub listen_group: Option<String>,
    /// Permission bits of a unix socket; php-fpm's default is 0660.
    pub listen_mode: u32,
    pub listen_acl_users: Vec<String>,
    pub listen_acl_groups: Vec<String>,
    pub listen_allowed_clients: AllowedClients,
    pub process_priority: Option<i32>,
    pub process_dumpable: bool,
    pub pm: ProcessManager,
    pub pm_max_children: u32,
    pub pm_start_servers: u32,
    pub pm_min_spare_servers: u32,
    pub pm_max_spare_servers: u32,
    pub pm_max_spawn_rate: u32,
    pub pm_process_idle_timeout: Duration,
    /// 0: no limit.
    pub pm_max_requests: u64,
    /// In bytes; 0: no limit.
    #[serde(default)]
    pub pm_max_memory: u64,
    pub pm_status_path: Option<String>,
    pub pm_status_listen: Option<String>,
    pub ping_path: Option<String>,
    pub ping_response: String,
    pub access_log: Option<PathBuf>,
    /// The format of the access log, if the pool has one.
    #[serde(default, deserialize_with = "access_format")]
    pub access_format: Option<Format>,
    pub access_suppress_path: Vec<String>,
    /// The parameter with the id of a request. `None`: requests have no ids.
    #[serde(default)]
    pub log_request_id: Option<String>,
    pub slowlog: Option<PathBuf>,
    pub request_slowlog_timeout: Duration,
    pub request_slowlog_trace_depth: u32,
    pub request_terminate_timeout: Duration,
    pub request_terminate_timeout_track_finished: bool,
    #[serde(default)]
    pub request_drop_abandoned: bool,
    pub rlimit_files: Option<u64>,
    pub rlimit_core: Option<CoreLimit>,
    pub chroot: Option<PathBuf>,
    pub chdir: Option<PathBuf>,
    pub catch_workers_output: bool,
    pub decorate_workers_output: bool,
    pub clear_env: bool,
    #[serde(default)]
    pub security_fastcgi_php_value: PhpValuePolicy,
    /// Lower-case as given; empty = all.
    pub security_limit_extensions: Vec<String>,
    pub apparmor_hat: Option<String>,
    /// `env[]` in the order in which php-fpm sets it, with `$NAME` replaced by the supervisor's variable.
    pub env: Vec<(String, String)>,
    pub php_settings: Vec<PhpSetting>,
}

impl PoolConfig {
    /// Whether it has a TCP socket.
    #[must_use]
    pub fn listens_on_tcp(&self) -> bool {
        self.listen.iter().any(|address| matches!(address, ListenAddr::Tcp { .. }))
    }
}

/// An earlier version kept the text of `access.format`, unchecked where the pool has no access log.
fn access_format<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Format>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| Format::compile(&text).ok()))
}

/// The default of `process.base_user`.
pub(super) fn nobody() -> String {
    "nobody".to_owned()
}

impl Default for Global {
    /// php-fpm's defaults.
    fn default() -> Self {
        Self {
            pid: None,
            error_log: ErrorLog::File(PathBuf::new()),
            syslog_ident: "php-fpm".to_owned(),
            syslog_facility: 24,
            log_buffering: true,
            log_level: log::Level::Notice,
            log_format: log::Format::Default,
            log_limit: 1024,
            emergency_restart_threshold: 0,
            emergency_restart_interval: Duration::ZERO,
            process_control_timeout: Duration::ZERO,
            process_max: 0,
            process_priority: None,
            daemonize: true,
            rlimit_files: None,
            rlimit_core: None,
            events_mechanism: None,
            systemd_interval: Duration::from_secs(10),
            systemd_watchdog: false,
            sigterm_is_graceful: None,
            shutdown_delay: Duration::ZERO,
            process_group: None,
            start_failure_stops: false,
            start_parallel: None,
            drain_patience: Duration::from_secs(60),
            group_idle_timeout: Duration::from_secs(3600),
            base: BaseUse::Auto,
            base_user: nobody(),
            control_socket: None,
            monitor: None,
        }
    }
}
