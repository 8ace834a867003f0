//! The server under test, chosen by the environment.
//!
//! `CGI_FPM_PREFIX` names a built prefix. `CGI_FPM_DOOR` is `patched` (the default), `stock` (Debian's php-cgi by
//! LD_PRELOAD; another one with `CGI_FPM_HOST`) or `php-fpm` (the stock php-fpm of the same build instead of ours, to
//! see how it behaves in a test).

use std::env;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::skip;

/// The way into the program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Our php-cgi.
    Patched,
    /// Debian's php-cgi with our library preloaded.
    Stock,
    /// php-fpm instead of ours, for comparison.
    PhpFpm,
}

/// A built prefix and the door to use.
#[derive(Debug, Clone)]
pub struct Target {
    /// The prefix.
    pub prefix: PathBuf,
    /// The door.
    pub door: Door,
}

impl Target {
    /// The target of this run. None, and a skipped test, if nothing was built; with `CI=true` that is an error.
    ///
    /// # Panics
    /// With `CI=true` and no target, and if the environment names something that does not exist.
    #[must_use]
    pub fn find() -> Option<Self> {
        let Some(prefix) = env::var_os("CGI_FPM_PREFIX") else {
            assert!(env::var("CI").as_deref() != Ok("true"), "CGI_FPM_PREFIX isn't set");
            skip("CGI_FPM_PREFIX isn't set (make test sets it)");
            return None;
        };
        let door = match env::var("CGI_FPM_DOOR").as_deref() {
            Ok("stock") => Door::Stock,
            Ok("php-fpm") => Door::PhpFpm,
            Ok("patched") | Err(_) => Door::Patched,
            Ok(other) => panic!("CGI_FPM_DOOR={other}: patched, stock or php-fpm"),
        };
        let target = Self { prefix: PathBuf::from(prefix), door };
        assert!(target.program().exists(), "{} is missing", target.program().display());
        Some(target)
    }

    /// As `find`, for tests of features that php-fpm lacks.
    #[must_use]
    pub fn find_ours() -> Option<Self> {
        let target = Self::find()?;
        if target.is_ours() {
            return Some(target);
        }
        skip("not for php-fpm");
        None
    }

    /// As `find`, for tests that need root.
    #[must_use]
    pub fn find_as_root() -> Option<Self> {
        let target = Self::find()?;
        if as_root() {
            return Some(target);
        }
        skip("needs root");
        None
    }

    /// As `find_ours`, for tests that need root.
    #[must_use]
    pub fn find_ours_as_root() -> Option<Self> {
        let target = Self::find_ours()?;
        if as_root() {
            return Some(target);
        }
        skip("needs root");
        None
    }

    /// A prefix of another PHP version, with the library of this source: `CGI_FPM_OTHER_PREFIX`, or one beside this prefix. None,
    /// and a skipped test, if there is none.
    #[must_use]
    pub fn other_version(&self) -> Option<PathBuf> {
        let beside = ["php-8.2", "php-8.3", "php-8.4", "php-8.5"].map(|name| self.prefix.with_file_name(name));
        let given = env::var_os("CGI_FPM_OTHER_PREFIX").map(PathBuf::from);
        let usable = |other: &PathBuf| *other != self.prefix && other.join("lib/cgi-fpm.so").exists();
        let found = given.into_iter().chain(beside).find(usable);
        if found.is_none() {
            skip("no second PHP beside the prefix");
        }
        found
    }

    /// Whether the server is ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.door != Door::PhpFpm
    }

    /// The program to start.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.program_in(&self.prefix)
    }

    /// The program to start of a copy of the prefix.
    #[must_use]
    pub fn program_in(&self, prefix: &Path) -> PathBuf {
        let stock = if prefix == Path::new("/usr") { DEBIAN_FPM } else { "libexec/php-fpm-stock" };
        prefix.join(if self.is_ours() { "sbin/php-fpm" } else { stock })
    }

    /// The host that the library is loaded into, of a copy of the prefix.
    #[must_use]
    pub fn host_in(&self, prefix: &Path) -> PathBuf {
        if self.door == Door::Stock { stock_cgi() } else { prefix.join("bin/php-cgi") }
    }

    /// The environment variables for this door.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        if self.door == Door::Stock { vec![("PHP_CGI", stock_cgi())] } else { Vec::new() }
    }

    /// The php-fpm to compare with: that of the same build, or Debian's for Debian's php-cgi.
    #[must_use]
    pub fn partner(&self) -> Self {
        let debian = self.door == Door::Stock && stock_cgi() == Path::new(DEBIAN_CGI);
        let prefix = if debian { PathBuf::from("/usr") } else { self.prefix.clone() };
        Self { prefix, door: Door::PhpFpm }
    }

    /// Whether the php.ini must load opcache itself: Debian's conf.d does it.
    #[must_use]
    pub fn opcache_by_hand(&self) -> bool {
        let real = self.program().canonicalize().unwrap_or_default();
        let debian = self.door == Door::Stock && stock_cgi() == Path::new(DEBIAN_CGI);
        !debian && !real.starts_with("/usr")
    }
}

/// The php-cgi of the stock door: Debian's, or what `CGI_FPM_HOST` names.
fn stock_cgi() -> PathBuf {
    env::var_os("CGI_FPM_HOST").map_or_else(|| DEBIAN_CGI.into(), PathBuf::from)
}

const DEBIAN_CGI: &str = "/usr/bin/php-cgi8.2";
const DEBIAN_FPM: &str = "sbin/php-fpm8.2";

/// Whether the tests run as root.
#[must_use]
pub fn as_root() -> bool {
    Uid::effective().is_root()
}

/// The user of pools and web servers: root's tests use Debian's www-data, others stay who they are.
#[must_use]
pub fn web_user() -> Option<&'static str> {
    as_root().then_some("www-data")
}

/// Whether the prefix's PHP is built with --enable-debug (`CGI_FPM_DEBUG=1`).
#[must_use]
pub fn debug_build() -> bool {
    env::var("CGI_FPM_DEBUG").as_deref() == Ok("1")
}

/// Whether the full counts are asked for (`CGI_FPM_FULL=1`).
#[must_use]
pub fn full() -> bool {
    env::var("CGI_FPM_FULL").as_deref() == Ok("1")
}
