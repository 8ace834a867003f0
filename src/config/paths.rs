//! Makes relative paths absolute, with the prefix that php-fpm uses.

use std::path::PathBuf;

use super::listen::too_long;
use super::message::shown;
use super::options::LoadOptions;

/// The prefixes of the whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefixes {
    /// `-p`.
    pub(crate) given: Option<String>,
    /// PHP_PREFIX.
    pub(crate) php: String,
    /// PHP_LOCALSTATEDIR, for the pid file and the error log.
    pub(crate) local_state: String,
}

impl Prefixes {
    /// Those of the options.
    pub(crate) fn new(options: &LoadOptions) -> Self {
        Self {
            given: options.prefix.as_deref().map(shown),
            php: shown(&options.php_prefix),
            local_state: shown(&options.local_state_dir),
        }
    }

    /// For includes and a pool's prefix.
    pub(crate) fn global_path(&self, path: &str) -> String {
        join(self.given.as_deref().unwrap_or(&self.php), path)
    }

    /// For the pid file and the error log.
    pub(crate) fn state_path(&self, path: &str) -> String {
        join(self.given.as_deref().unwrap_or(&self.local_state), path)
    }

    /// For the paths of a pool, which start from its own prefix.
    pub(crate) fn pool_path(&self, pool_prefix: Option<&str>, path: &str) -> String {
        match pool_prefix {
            None => self.global_path(&self.global_path(path)),
            Some(prefix) => self.global_path(&join(prefix, path)),
        }
    }
}

fn join(prefix: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{prefix}/{path}") }
}

/// What `control.socket` switches the control socket off by. The reader of the file makes nothing of `no` and `off`.
pub(crate) fn is_no(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "" | "no" | "off")
}

/// The path of the control socket: the given one, or one beside the pid file. `None`: it is switched off, or there is no place for it.
pub(crate) fn control_socket(given: Option<&str>, pid_file: Option<&str>) -> Option<PathBuf> {
    let beside = |pid: &str| format!("{}.control", pid.strip_suffix(".pid").unwrap_or(pid));
    match given {
        Some(value) if is_no(value) => None,
        Some(path) => Some(path.into()),
        None => pid_file.map(beside).filter(|path| too_long(path).is_none()).map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_socket_is_beside_the_pid_file() {
        fn path(given: Option<&str>, pid: Option<&str>) -> Option<String> {
            control_socket(given, pid).map(|path| path.display().to_string())
        }

        assert_eq!(path(None, Some("/run/php-fpm.pid")).as_deref(), Some("/run/php-fpm.control"));
        assert_eq!(path(None, Some("/run/fpm")).as_deref(), Some("/run/fpm.control"));
        assert_eq!(path(Some("/x/y"), Some("/run/fpm.pid")).as_deref(), Some("/x/y"));
        assert_eq!(path(None, None), None);
        assert_eq!(path(None, Some(&"/x".repeat(60))), None, "no address is so long");
        for no in ["", "no", "Off"] {
            assert_eq!(path(Some(no), Some("/run/fpm.pid")), None);
        }
    }
}
