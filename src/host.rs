//! The program that this library was loaded into: how to start it again, and where its PHP lives.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::engine::{EngineOptions, Program};
use crate::sys::fd;

/// How the library was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The patched php-cgi loaded it.
    Patched,
    /// LD_PRELOAD loaded it into a stock php-cgi.
    Preload,
}

/// What is known about the host program before PHP starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Absolute path, as found at the first start: an upgrade replaces the file there.
    pub program: PathBuf,
    /// How the library was loaded.
    pub door: Door,
    /// The file that this library was loaded from.
    pub library: PathBuf,
    /// The arguments, the program's name first.
    pub args: Vec<OsString>,
    /// `8.2.32`.
    pub php_version: String,
    /// The number of PHP's module API, which changes with each minor version.
    pub module_api: u32,
    /// PHP_PREFIX.
    pub php_prefix: PathBuf,
    /// The default directory of php-fpm.conf.
    pub sysconf_dir: PathBuf,
    /// In front of a relative pid file or error log.
    pub local_state_dir: PathBuf,
    /// The directory of php.ini and the one to scan, if they differ from the compiled-in ones.
    pub default_ini: Option<(PathBuf, PathBuf)>,
}

impl Host {
    /// The absolute path of the program, from the name it was called by.
    #[must_use]
    pub fn find_program(name: &Path) -> PathBuf {
        let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
        if name.components().count() > 1 {
            return here.join(name);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|dir| here.join(dir).join(name)).find(|file| file.is_file());
        found.or_else(|| std::fs::read_link("/proc/self/exe").ok()).unwrap_or_else(|| name.to_owned())
    }

    /// Uses the paths of a distribution's php-fpm, if its directory exists: Debian's `/etc/php/8.2/fpm`.
    pub fn adopt_distribution(&mut self, dir: &Path) {
        if dir.is_dir() {
            self.default_ini = Some((dir.to_owned(), dir.join("conf.d")));
            self.sysconf_dir = dir.to_owned();
            self.php_prefix = "/usr".into();
            self.local_state_dir = "/var".into();
        }
    }

    /// Completes php.ini options with the defaults of the host program. An empty name among the directories to scan means the
    /// default one.
    pub fn complete(&self, engine: &mut EngineOptions) {
        let Some((dir, scan)) = &self.default_ini else { return };
        if !engine.no_ini {
            let given = engine.scan_dir.take().map(PathBuf::into_os_string);
            let given = given.or_else(|| std::env::var_os("PHP_INI_SCAN_DIR"));
            engine.scan_dir = Some(scan_path(given.as_deref(), scan));
            if std::env::var_os("PHPRC").is_none() {
                engine.ini_path.get_or_insert_with(|| dir.clone());
            }
        }
    }

    /// The default configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.sysconf_dir.join("php-fpm.conf")
    }

    /// The program and how it is loaded, to execute it again.
    #[must_use]
    pub fn own_program(&self) -> Program {
        let preload = (self.door == Door::Preload).then(|| self.library.clone());
        Program { path: self.program.clone(), preload }
    }

    /// `LD_PRELOAD` for executing the program again, with its other entries. `None` for a patched php-cgi.
    #[must_use]
    pub fn preload(&self) -> Option<OsString> {
        self.own_program().preload.as_deref().map(preload_list)
    }
}

/// `LD_PRELOAD` with that library in front of the present entries.
#[must_use]
pub fn preload_list(library: &Path) -> OsString {
    let mut list = library.as_os_str().to_owned();
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|o| !o.is_empty()) {
        list.push(":");
        list.push(others);
    }
    list
}

/// The directories of `PHP_INI_SCAN_DIR`, in which an empty entry means the default one; without the variable, the default
/// one alone.
fn scan_path(given: Option<&OsStr>, usual: &Path) -> PathBuf {
    let Some(given) = given else { return usual.to_owned() };
    let mut path = OsString::new();
    if given.is_empty() {
        return path.into();
    }
    for (at, part) in given.as_bytes().split(|&byte| byte == b':').enumerate() {
        if at > 0 {
            path.push(":");
        }
        path.push(if part.is_empty() { usual.as_os_str() } else { OsStr::from_bytes(part) });
    }
    path.into()
}

/// `LD_PRELOAD` without this library: programs that scripts start must not inherit it.
#[must_use]
pub fn without_library(list: &str, library: &Path) -> Option<String> {
    let same =
        |entry: &str| fd::real_path(Path::new(entry)).is_ok_and(|e| fd::real_path(library).is_ok_and(|l| e == l));
    let entries = list.split([':', ' ']).filter(|e| !(e.is_empty() || Path::new(e) == library || same(e)));
    let rest: Vec<&str> = entries.collect();
    (!rest.is_empty()).then(|| rest.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_entry_leaves_the_preload_list() {
        let ours = Path::new("/opt/lib/cgi-fpm.so");
        assert_eq!(without_library("/opt/lib/cgi-fpm.so", ours), None);
        assert_eq!(
            without_library("/a/jemalloc.so:/opt/lib/cgi-fpm.so b.so", ours),
            Some("/a/jemalloc.so:b.so".to_owned())
        );
    }

    #[test]
    fn an_empty_scan_directory_is_the_usual_one() {
        let path = |given| scan_path(given, Path::new("/usual"));
        assert_eq!(path(None), Path::new("/usual"));
        let given = |text| path(Some(OsStr::new(text)));
        assert_eq!(given(""), Path::new(""));
        assert_eq!(given("/a::/b:"), Path::new("/a:/usual:/b:/usual"));
    }

    #[test]
    fn a_relative_name_becomes_absolute() {
        assert!(Host::find_program(Path::new("./php-cgi")).is_absolute());
        assert!(Host::find_program(Path::new("sh")).ends_with("sh"));
    }
}
