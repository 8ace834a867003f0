//! Converts php-fpm's texts and 32-bit integers to the types that the rest of the program uses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::file_owner;
use super::clients::AllowedClients;
use super::directives::{GlobalDirective, PoolDirective as Key};
use super::listen;
use super::model::{self, Config, Global, MonitorConfig, PoolConfig};
use super::options::LoadOptions;
use super::paths;
use super::raw::{Pair, Raw, RawPool};
use super::section::NO_PRIORITY;
use super::types::{CoreLimit, EngineKey, NOTHING, PhpIni, PhpSetting, ProcessManager};
use super::values;
use crate::log;

/// The whole configuration; the sections have been checked.
pub(super) fn config(file: &Path, raw: &Raw, options: &LoadOptions) -> Config {
    let pools = raw.pools.iter().map(|one| {
        let mut pool = pool(one, options);
        pool.status_of = one.status_of.and_then(|index| raw.pools.get(index)).map(|of| of.name.clone());
        pool
    });
    Config { file: file.to_owned(), global: global(raw), pools: pools.collect() }
}

/// `[global]`.
pub(super) fn global(raw: &Raw) -> Global {
    let values = &raw.global;
    Global {
        pid: values.filled(GlobalDirective::Pid).map(PathBuf::from),
        error_log: PathBuf::from(values.text(GlobalDirective::ErrorLog).unwrap_or_default()).into(),
        syslog_ident: values.text(GlobalDirective::SyslogIdent).unwrap_or_default().to_owned(),
        syslog_facility: values.integer(GlobalDirective::SyslogFacility),
        log_buffering: values.flag(GlobalDirective::LogBuffering),
        log_level: values.log_level(GlobalDirective::LogLevel).unwrap_or(log::Level::Notice),
        log_format: values.log_format(GlobalDirective::LogFormat).unwrap_or_default(),
        log_limit: usize::try_from(values.integer(GlobalDirective::LogLimit)).unwrap_or(0),
        emergency_restart_threshold: count(values.integer(GlobalDirective::EmergencyRestartThreshold)),
        emergency_restart_interval: seconds(values.integer(GlobalDirective::EmergencyRestartInterval)),
        process_control_timeout: seconds(values.integer(GlobalDirective::ProcessControlTimeout)),
        process_max: count(values.integer(GlobalDirective::ProcessMax)),
        process_priority: priority(values.integer(GlobalDirective::ProcessPriority)),
        daemonize: values.flag(GlobalDirective::Daemonize),
        rlimit_files: file_limit(values.integer(GlobalDirective::RlimitFiles)),
        rlimit_core: core_limit(values.integer(GlobalDirective::RlimitCore)),
        events_mechanism: values.owned(GlobalDirective::EventsMechanism),
        systemd_interval: Duration::from_millis(count(values.integer(GlobalDirective::SystemdInterval)).into()),
        systemd_watchdog: raw.systemd_watchdog,
        sigterm_is_graceful: values.choice(GlobalDirective::OnSigterm),
        shutdown_delay: seconds(values.integer(GlobalDirective::ShutdownDelay)),
        process_group: values.owned(GlobalDirective::ProcessGroup),
        start_failure_stops: values.choice(GlobalDirective::StartFailure).unwrap_or(false),
        start_parallel: Some(count(values.integer(GlobalDirective::StartParallel))).filter(|most| *most > 0),
        drain_patience: seconds(values.integer(GlobalDirective::DrainPatience)),
        group_idle_timeout: seconds(values.integer(GlobalDirective::GroupIdleTimeout)),
        base: values.base_use(GlobalDirective::Base).unwrap_or_default(),
        base_user: values.owned(GlobalDirective::BaseUser).unwrap_or_else(model::nobody),
        control_socket: paths::control_socket(
            values.text(GlobalDirective::ControlSocket),
            values.filled(GlobalDirective::Pid),
        ),
        monitor: monitor(raw),
    }
}

fn monitor(raw: &Raw) -> Option<MonitorConfig> {
    let values = &raw.global;
    let hosts = list(values.text(GlobalDirective::MonitorAllowedHosts));
    // Their names were looked up by the check.
    let text = |key| values.filled(key);
    let (owner, group) =
        file_owner(text(GlobalDirective::MonitorOwner), text(GlobalDirective::MonitorGroup)).unwrap_or_default();
    Some(MonitorConfig {
        listen: values.owned(GlobalDirective::MonitorListen)?,
        mode: values.filled(GlobalDirective::MonitorMode).map_or(0o660, values::octal),
        owner,
        group,
        allowed_hosts: hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect(),
        show_requests: values.flag(GlobalDirective::MonitorShowRequests),
    })
}

fn pool(raw: &RawPool, options: &LoadOptions) -> PoolConfig {
    let values = &raw.values;
    let path = |key| values.filled(key).map(PathBuf::from);
    PoolConfig {
        name: raw.name.clone(),
        status_of: None,
        prefix: path(Key::Prefix),
        user: values.owned(Key::User),
        group: values.owned(Key::Group),
        process_group: values.owned(Key::ProcessGroup),
        group_idle_timeout: optional_seconds(values.integer(Key::GroupIdleTimeout)),
        engine: engine(raw),
        listen: listen::split(values.text(Key::Listen).unwrap_or_default()).into_iter().map(listen::address).collect(),
        listen_backlog: values.integer(Key::ListenBacklog),
        listen_owner: values.owned(Key::ListenOwner),
        listen_group: values.owned(Key::ListenGroup),
        listen_mode: values.filled(Key::ListenMode).map_or(0o660, values::octal),
        listen_acl_users: list(values.text(Key::ListenAclUsers)),
        listen_acl_groups: list(values.text(Key::ListenAclGroups)),
        listen_allowed_clients: AllowedClients::read(values.text(Key::ListenAllowedClients)),
        process_priority: priority(values.integer(Key::ProcessPriority)),
        process_dumpable: values.flag(Key::ProcessDumpable),
        pm: values.process_manager(Key::Pm).unwrap_or(ProcessManager::Static),
        pm_max_children: count(values.integer(Key::PmMaxChildren)),
        pm_start_servers: count(values.integer(Key::PmStartServers)),
        pm_min_spare_servers: count(values.integer(Key::PmMinSpareServers)),
        pm_max_spare_servers: count(values.integer(Key::PmMaxSpareServers)),
        pm_max_spawn_rate: count(values.integer(Key::PmMaxSpawnRate)),
        pm_process_idle_timeout: seconds(values.integer(Key::PmProcessIdleTimeout)),
        pm_max_requests: count(values.integer(Key::PmMaxRequests)).into(),
        pm_max_memory: values.bytes(Key::PmMaxMemory).unwrap_or(0),
        pm_status_path: values.owned(Key::PmStatusPath),
        pm_status_listen: values.owned(Key::PmStatusListen),
        ping_path: values.owned(Key::PingPath),
        ping_response: values.text(Key::PingResponse).unwrap_or("pong").to_owned(),
        access_log: path(Key::AccessLog),
        access_format: raw.access_format.clone(),
        access_suppress_path: raw.suppressed_paths.clone(),
        log_request_id: values.filled(Key::LogRequestId).map(str::to_owned),
        slowlog: path(Key::Slowlog),
        request_slowlog_timeout: seconds(values.integer(Key::RequestSlowlogTimeout)),
        request_slowlog_trace_depth: count(values.integer(Key::RequestSlowlogTraceDepth)),
        request_terminate_timeout: seconds(values.integer(Key::RequestTerminateTimeout)),
        request_terminate_timeout_track_finished: values.flag(Key::RequestTerminateTimeoutTrackFinished),
        request_drop_abandoned: values.flag(Key::RequestDropAbandoned),
        rlimit_files: file_limit(values.integer(Key::RlimitFiles)),
        rlimit_core: core_limit(values.integer(Key::RlimitCore)),
        chroot: path(Key::Chroot),
        chdir: path(Key::Chdir),
        catch_workers_output: values.flag(Key::CatchWorkersOutput),
        decorate_workers_output: values.flag(Key::DecorateWorkersOutput),
        clear_env: values.flag(Key::ClearEnv),
        security_fastcgi_php_value: values.php_value_policy(Key::SecurityFastcgiPhpValue).unwrap_or_default(),
        security_limit_extensions: words(values.text(Key::SecurityLimitExtensions)),
        apparmor_hat: values.owned(Key::ApparmorHat),
        env: raw.env.iter().rev().map(|pair| variable(pair, options)).collect(),
        php_settings: settings(raw),
    }
}

/// `process.php` and the like.
pub(super) fn engine(raw: &RawPool) -> EngineKey {
    let path = |key| raw.values.filled(key).map(PathBuf::from);
    EngineKey {
        program: path(Key::Php),
        library: path(Key::PhpLibrary),
        ini: path(Key::PhpIni).map(|path| if is_none(&path) { PhpIni::Nothing } else { PhpIni::At(path) }),
        scan_dir: path(Key::PhpIniScanDir).map(|path| if is_none(&path) { PathBuf::new() } else { path }),
        defines: raw.php_defines.iter().rev().map(|pair| (pair.key.clone(), pair.value.clone())).collect(),
    }
}

fn is_none(path: &Path) -> bool {
    path == Path::new(NOTHING)
}

/// php-fpm applies all `php_value` and `php_flag` first, then the admin ones, each from the last to the first line.
fn settings(raw: &RawPool) -> Vec<PhpSetting> {
    let setting = |admin| {
        move |pair: &Pair| PhpSetting {
            name: pair.key.clone(),
            value: pair.value.clone(),
            admin,
            flag: pair.flag,
            late: pair.late.clone(),
        }
    };
    let users = raw.php_values.iter().rev().map(setting(false));
    users.chain(raw.php_admin_values.iter().rev().map(setting(true))).collect()
}

fn variable(pair: &Pair, options: &LoadOptions) -> (String, String) {
    let value = match pair.value.strip_prefix('$') {
        Some(name) => options.env(name).unwrap_or_default().to_owned(),
        None => pair.value.clone(),
    };
    (pair.key.clone(), value)
}

pub(super) fn list(text: Option<&str>) -> Vec<String> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn words(text: Option<&str>) -> Vec<String> {
    let words = text.unwrap_or_default().split([' ', '\t']);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A number that cannot be negative. php-fpm takes a negative one for 0, if it accepts it.
fn count(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(count(value).into())
}

/// `None` if negative, which means that it is not set.
fn optional_seconds(value: i32) -> Option<Duration> {
    u64::try_from(value).ok().map(Duration::from_secs)
}

fn priority(value: i32) -> Option<i32> {
    (value != NO_PRIORITY).then_some(value)
}

fn file_limit(value: i32) -> Option<u64> {
    (value != 0).then(|| i64::from(value).cast_unsigned())
}

fn core_limit(value: i32) -> Option<CoreLimit> {
    match value {
        0 => None,
        -1 => Some(CoreLimit::Unlimited),
        bytes => Some(CoreLimit::Bytes(count(bytes).into())),
    }
}
