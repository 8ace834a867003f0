//! What the command line and the environment contribute to a configuration.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::ini::{Names, core_constant};

/// Whether reading a configuration also examines the directories and logs that pools name (`prefix`, `chroot`, `chdir`,
/// `access.log`, `slowlog`). They may be in directories of users, and may be missing or hang.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PoolPaths {
    /// The first that cannot be used refuses the configuration, as in php-fpm.
    #[default]
    Examined,
    /// The same with `process.start_failure = stop` only.
    ExaminedIfAllMustStart,
    /// Each group examines its own when it is prepared.
    LeftToGroups,
}

/// What `load` needs besides the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// PHP_PREFIX, which relative paths start from.
    pub php_prefix: PathBuf,
    /// PHP_LOCALSTATEDIR, which a relative pid file or error log starts from.
    pub local_state_dir: PathBuf,
    /// `-p`: replaces both.
    pub prefix: Option<PathBuf>,
    /// `-g`: the pid file, if the configuration names none.
    pub pid_file: Option<PathBuf>,
    /// `-D` or `-F`: overrides `daemonize`.
    pub daemonize: Option<bool>,
    /// `-R`: pools may run as root.
    pub allow_root: bool,
    /// The effective user is root.
    pub root: bool,
    /// The version of PHP (`8.4.24`), for constants such as `E_ALL`; empty: the newest values.
    pub php_version: String,
    /// `-d name[=value]`: where `${name}` is looked up first.
    pub defines: Vec<String>,
    /// The environment: `${name}`, `env[X] = $NAME`, systemd's watchdog.
    pub environment: Vec<(OsString, OsString)>,
    /// Whether the directories and logs of pools are examined.
    pub pool_paths: PoolPaths,
}

impl LoadOptions {
    /// The same options, with this rule for the directories and logs of pools.
    #[must_use]
    pub fn with_pool_paths(&self, pool_paths: PoolPaths) -> Self {
        Self { pool_paths, ..self.clone() }
    }

    /// A variable of the environment, if it is valid UTF-8.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env_os(name).and_then(OsStr::to_str)
    }

    /// A variable of the environment.
    pub(crate) fn env_os(&self, name: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str())
    }

    /// The last `-d name=value`; without `=` the value is 1.
    pub(crate) fn define(&self, name: &str) -> Option<&str> {
        self.defines.iter().rev().find_map(|define| match define.split_once('=') {
            Some((known, value)) if known == name => Some(unquoted(value)),
            None if define == name => Some("1"),
            _ => None,
        })
    }

    /// Whether PHP is at least this version.
    pub(crate) fn php_at_least(&self, major: u32, minor: u32) -> bool {
        let mut parts = self.php_version.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(has_major)), Some(Ok(has_minor))) => (has_major, has_minor) >= (major, minor),
            _ => true,
        }
    }
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// The values of `${name}` and of constants in this PHP.
pub(super) struct PhpNames<'a>(pub(super) &'a LoadOptions);

impl Names for PhpNames<'_> {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let define = self.0.define(name).map(|value| value.as_bytes().to_vec());
        define.or_else(|| self.0.env_os(name).map(|value| value.as_encoded_bytes().to_vec()))
    }

    fn constant(&self, name: &str) -> Option<String> {
        let value = match name {
            "PHP_VERSION" if !self.0.php_version.is_empty() => &self.0.php_version,
            // E_STRICT left E_ALL with PHP 8.4.
            "E_ALL" if self.0.php_at_least(8, 4) => "30719",
            "PHP_PREFIX" => return Some(self.0.php_prefix.to_string_lossy().into_owned()),
            "PHP_LOCALSTATEDIR" => return Some(self.0.local_state_dir.to_string_lossy().into_owned()),
            _ => core_constant(name)?,
        };
        Some(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(version: &str) -> LoadOptions {
        LoadOptions {
            php_version: version.to_owned(),
            defines: vec!["a=1".to_owned(), "b".to_owned(), "a=\"2\"".to_owned()],
            environment: vec![("a".into(), "env".into()), ("c".into(), "env".into())],
            ..LoadOptions::default()
        }
    }

    #[test]
    fn variables_are_sought_among_the_defines_first() {
        let (options, text) = (options(""), |text: &str| Some(text.as_bytes().to_vec()));
        let names = PhpNames(&options);
        assert_eq!(
            (names.variable("a"), names.variable("b"), names.variable("c")),
            (text("2"), text("1"), text("env"))
        );
        assert_eq!(names.variable("d"), None);
    }

    #[test]
    fn e_all_depends_on_the_version() {
        let e_all = |version| PhpNames(&options(version)).constant("E_ALL").unwrap();
        assert_eq!(
            (e_all("8.2.32"), e_all("8.4.0"), e_all("9.0"), e_all("")),
            ("32767".into(), "30719".into(), "30719".into(), "30719".into())
        );
        assert_eq!(PhpNames(&options("8.2.1")).constant("PHP_VERSION").as_deref(), Some("8.2.1"));
    }
}
