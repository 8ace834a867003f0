//! The rules of `[global]`.

use std::net::SocketAddr;

use super::Check;
use crate::config::account::{account_named, file_owner};
use crate::config::convert::list;
use crate::config::directives::GlobalDirective as Key;
use crate::config::listen;
use crate::config::message::Refused;
use crate::config::paths;
use crate::config::raw::Raw;
use crate::config::section::NO_PRIORITY;
use crate::log::messages::config::{
    GlobalError, monitor_setting_ineffective, monitor_setting_unused, systemd_interval_ignored, watchdog_configured,
};
use crate::sys::failure::reason;
use crate::sys::log_file::Owner;

/// Settings of a monitor that listens on an address.
const MONITOR_OVER_TCP: [(Key, &str); 1] = [(Key::MonitorAllowedHosts, "monitor.allowed_hosts")];
/// Settings of a monitor that listens on a path.
const MONITOR_AT_PATH: [(Key, &str); 3] =
    [(Key::MonitorMode, "monitor.mode"), (Key::MonitorOwner, "monitor.owner"), (Key::MonitorGroup, "monitor.group")];

/// Shortest `log_limit`, in bytes.
const MIN_LOG_LIMIT: i32 = 512;

/// Time between two reports to systemd, in milliseconds.
const SYSTEMD_INTERVAL: i32 = 10_000;

impl Check<'_> {
    pub(super) fn global(&mut self, raw: &mut Raw) -> Result<(), Refused> {
        let global = &mut raw.global;
        if let Some(pid) = global.text(Key::Pid).map(|path| self.prefixes.state_path(path)) {
            global.set_text(Key::Pid, pid);
        }
        if let Some(daemonize) = self.options.daemonize {
            global.set_integer(Key::Daemonize, i32::from(daemonize));
        }
        if let Some(level) = global.log_level(Key::LogLevel) {
            self.messages.set_level(level);
        }
        if global.integer(Key::LogLimit) < MIN_LOG_LIMIT {
            return self.refuse(&GlobalError::LogLimit { least: MIN_LOG_LIMIT });
        }
        if global.integer(Key::ProcessMax) < 0 {
            return self.refuse(&GlobalError::ProcessMax);
        }
        if !nice_value(global.integer(Key::ProcessPriority)) {
            return self.refuse(&GlobalError::Priority);
        }
        if global.text(Key::ErrorLog).is_none() {
            global.set_text(Key::ErrorLog, "log/php-fpm.log".to_owned());
        }
        self.systemd(raw);
        self.error_log(raw)?;
        self.events(raw)?;
        self.base_user(raw)?;
        self.control_socket(raw)?;
        self.monitor(raw)
    }

    fn control_socket(&mut self, raw: &mut Raw) -> Result<(), Refused> {
        let Some(value) = raw.global.owned(Key::ControlSocket).filter(|value| !paths::is_no(value)) else {
            return Ok(());
        };
        if !value.contains('/') {
            return self.refuse(&GlobalError::ControlSocket { value });
        }
        let path = self.prefixes.state_path(&value);
        if let Some(long) = listen::too_long(&path) {
            return self.refuse(&GlobalError::ControlPath { reason: long.to_string() });
        }
        raw.global.set_text(Key::ControlSocket, path);
        Ok(())
    }

    fn monitor(&mut self, raw: &mut Raw) -> Result<(), Refused> {
        let global = &mut raw.global;
        let Some(address) = global.owned(Key::MonitorListen) else {
            let settings = MONITOR_OVER_TCP.iter().chain(&MONITOR_AT_PATH);
            let shows = [(Key::MonitorShowRequests, "monitor.show_requests")];
            let settings = settings.chain(&shows);
            let set = settings.filter(|(key, _)| global.text(*key).is_some() || global.flag(*key));
            set.for_each(|(_, directive)| self.messages.log(monitor_setting_unused(directive)));
            return Ok(());
        };
        let is_path = address.contains('/');
        let settings = if is_path { &MONITOR_OVER_TCP[..] } else { &MONITOR_AT_PATH };
        for (_, directive) in settings.iter().filter(|(key, _)| global.text(*key).is_some()) {
            self.messages.log(monitor_setting_ineffective(directive, if is_path { "a path" } else { "no path" }));
        }
        if let Some(host) = list(global.text(Key::MonitorAllowedHosts)).into_iter().find(|host| !is_name(host)) {
            return self.refuse(&GlobalError::MonitorHost { host });
        }
        if !is_path {
            // Without a name service: an operator who misspells a name is told at once.
            return match address.parse::<SocketAddr>() {
                Ok(address) if address.port() > 0 => Ok(()),
                _ => self.refuse(&GlobalError::MonitorListen { address }),
            };
        }
        self.monitor_at_path(raw, &address)
    }

    fn monitor_at_path(&mut self, raw: &mut Raw, address: &str) -> Result<(), Refused> {
        let global = &mut raw.global;
        let path = self.prefixes.state_path(address);
        if let Some(long) = listen::too_long(&path) {
            return self.refuse(&GlobalError::MonitorPath { reason: long.to_string() });
        }
        let mode = global.text(Key::MonitorMode).unwrap_or("0660").to_owned();
        if mode.is_empty() || !mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) || mode.len() > 4 {
            return self.refuse(&GlobalError::MonitorMode { mode });
        }
        let (owner, group) = (global.filled(Key::MonitorOwner), global.filled(Key::MonitorGroup));
        if let Err(name) = file_owner(owner, None).map_err(str::to_owned) {
            return self.refuse(&GlobalError::MonitorOwner { name });
        }
        if let Err(name) = file_owner(None, group).map_err(str::to_owned) {
            return self.refuse(&GlobalError::MonitorGroup { name });
        }
        raw.global.set_text(Key::MonitorListen, path);
        Ok(())
    }

    fn base_user(&mut self, raw: &Raw) -> Result<(), Refused> {
        let Some(name) = raw.global.text(Key::BaseUser).filter(|_| self.options.root) else { return Ok(()) };
        match account_named(name) {
            None => self.refuse(&GlobalError::BaseUser { name: name.to_owned() }),
            Some(account) if account.uid == Some(0) => self.refuse(&GlobalError::BaseRoot),
            Some(_) => Ok(()),
        }
    }

    /// systemd's watchdog takes precedence over `systemd_interval`.
    fn systemd(&mut self, raw: &mut Raw) {
        let watchdog = self.options.env("WATCHDOG_USEC").and_then(|value| value.parse::<i64>().ok());
        let watchdog = watchdog.and_then(|micros| i32::try_from(micros / 2000).ok()).filter(|half| *half > 1000);
        let given = raw.global.integer(Key::SystemdInterval);
        raw.systemd_watchdog = watchdog.is_some();
        let interval = match watchdog {
            Some(half) => {
                if given > 0 {
                    self.messages.log(systemd_interval_ignored());
                }
                let seconds = f64::from(half) / 1000.0;
                self.messages.log(watchdog_configured(three_digits(seconds)));
                half
            }
            None if given < 0 => SYSTEMD_INTERVAL,
            None => given.wrapping_mul(1000),
        };
        raw.global.set_integer(Key::SystemdInterval, interval);
    }

    fn error_log(&mut self, raw: &mut Raw) -> Result<(), Refused> {
        let global = &mut raw.global;
        if global.text(Key::SyslogIdent).is_none() {
            global.set_text(Key::SyslogIdent, "php-fpm".to_owned());
        }
        if global.integer(Key::SyslogFacility) < 0 {
            global.set_integer(Key::SyslogFacility, libc::LOG_DAEMON);
        }
        let path = match global.text(Key::ErrorLog).unwrap_or_default() {
            own if own.eq_ignore_ascii_case("stderr") => "/dev/stderr".to_owned(),
            own if own.eq_ignore_ascii_case("stdout") => "/dev/stdout".to_owned(),
            path => path.to_owned(),
        };
        if !path.eq_ignore_ascii_case("syslog") {
            let path = self.prefixes.state_path(&path);
            global.set_text(Key::ErrorLog, path.clone());
            if let Err(e) = self.appendable(&path, Owner::Root) {
                return self.refuse(&GlobalError::ErrorLog { path, reason: reason(&e) });
            }
        }
        self.messages.set_log_open();
        Ok(())
    }

    fn events(&mut self, raw: &mut Raw) -> Result<(), Refused> {
        match raw.global.text(Key::EventsMechanism) {
            Some(name) if raw.events_mechanism().is_none() => {
                self.refuse(&GlobalError::Events { name: name.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// Whether it can be the name of a host, without a port.
fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Unset, or a nice value that php-fpm accepts.
pub(super) fn nice_value(value: i32) -> bool {
    value == NO_PRIORITY || (-19..=20).contains(&value)
}

/// C's `%.3g` for the seconds of a watchdog.
fn three_digits(seconds: f64) -> String {
    let decimals = if seconds < 10.0 {
        2
    } else if seconds < 100.0 {
        1
    } else {
        0
    };
    let text = format!("{seconds:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
