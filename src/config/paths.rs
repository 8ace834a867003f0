//! Makes relative paths absolute, with the prefix that php-fpm uses.

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
