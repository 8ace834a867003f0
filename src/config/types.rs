//! The types of single values.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::late::LateValue;

/// `error_log`. In JSON it is a path or `syslog`, as in earlier versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PathBuf", into = "PathBuf")]
pub enum ErrorLog {
    /// Messages go to syslog.
    Syslog,
    /// An absolute path; `stderr` and `stdout` are `/dev/stderr` and `/dev/stdout`.
    File(PathBuf),
}

impl ErrorLog {
    /// The file, unless messages go to syslog.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Syslog => None,
            Self::File(path) => Some(path),
        }
    }
}

impl From<PathBuf> for ErrorLog {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str().eq_ignore_ascii_case("syslog") { Self::Syslog } else { Self::File(path) }
    }
}

impl From<ErrorLog> for PathBuf {
    fn from(log: ErrorLog) -> Self {
        match log {
            ErrorLog::Syslog => "syslog".into(),
            ErrorLog::File(path) => path,
        }
    }
}

/// RLIMIT_CORE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum CoreLimit {
    Bytes(u64),
    Unlimited,
}

impl CoreLimit {
    /// In bytes; `None`: unlimited.
    #[must_use]
    pub fn bytes(self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Unlimited => None,
        }
    }
}

/// Where a pool listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ListenAddr {
    Unix(PathBuf),
    /// `spec` is the text of the configuration, which names the socket in log lines and in `FPM_SOCKETS`.
    Tcp {
        spec: String,
        addrs: Vec<SocketAddr>,
    },
}

/// `process.base`: whether zygotes are forked from a base zygote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BaseUse {
    /// Where that saves memory: with several groups that start PHP in the same way.
    #[default]
    Auto,
    /// Wherever it is possible.
    Always,
    /// No.
    Never,
}

/// `pm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ProcessManager {
    Static,
    Dynamic,
    Ondemand,
}

/// `security.fastcgi_php_value`: which settings the web server may send with a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhpValuePolicy {
    /// PHP_VALUE and PHP_ADMIN_VALUE.
    #[default]
    All,
    /// Of PHP_VALUE, only harmless settings.
    User,
    /// None.
    Nothing,
}

impl ProcessManager {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
            Self::Ondemand => "ondemand",
        }
    }
}

/// The value of `process.php_ini` and `process.php_ini_scan_dir` that means no file.
pub(super) const NOTHING: &str = "none";

/// `process.php_ini`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PhpIni {
    /// No php.ini.
    Nothing,
    /// A file, or the directory to look for php.ini in.
    At(PathBuf),
}

/// Which PHP a pool runs with, and how it is started, as far as the pool says so itself. Pools that differ in it cannot share a
/// zygote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EngineKey {
    /// `process.php`: the php-cgi; `None`: the running one.
    pub program: Option<PathBuf>,
    /// `process.php_library`: the cgi-fpm library for it.
    pub library: Option<PathBuf>,
    /// `process.php_ini`.
    pub ini: Option<PhpIni>,
    /// `process.php_ini_scan_dir`: directories with colons between them, as in `PHP_INI_SCAN_DIR`; empty: none.
    pub scan_dir: Option<PathBuf>,
    /// `process.php_define[]`: names and values, from the last line to the first, as PHP gets them.
    pub defines: Vec<(String, String)>,
}

/// One entry of `php_value[]`, `php_flag[]`, `php_admin_value[]`, `php_admin_flag[]`, in the order php-fpm applies them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhpSetting {
    /// The ini entry.
    pub name: String,
    /// The text that Zend parses.
    pub value: String,
    /// Scripts and `.user.ini` cannot change it.
    pub admin: bool,
    /// From a `_flag` directive (value is `1` or `0`).
    pub flag: bool,
    /// The line, if it contains names that only PHP knows: a worker parses it again.
    #[serde(default)]
    pub late: Option<LateValue>,
}
