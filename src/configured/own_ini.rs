//! The ini files that a pool names for itself (`process.php_ini`, `process.php_ini_scan_dir`): whether they are there, and with
//! whose rights PHP may read them.
//!
//! As php-fpm, a zygote reads php.ini as root before it becomes the pool's user, so that a file which only root can read stays
//! hidden from scripts. If a user can change the file, that would let this user read any file of the system: a link in place of
//! php.ini is enough. Then the zygote becomes the pool's user before.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{self, EngineKey, PhpIni};
use crate::log::messages::programs::ProgramError;
use crate::sys::failure::reason;
use crate::sys::named_file;

const INI: &str = "process.php_ini";
const SCAN_DIR: &str = "process.php_ini_scan_dir";
/// Larger ini files are not searched for syntax errors, in bytes.
const MOST_READ: u64 = 4 << 20;
/// The names that PHP looks for in the directory of php.ini.
const NAMES: [&str; 2] = ["php-fpm-fcgi.ini", "php.ini"];

/// A file or directory that a user other than root can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changeable {
    directive: &'static str,
    path: PathBuf,
    who: String,
}

impl Changeable {
    fn at(directive: &'static str, path: PathBuf) -> Option<Self> {
        other_writer(&path).map(|who| Self { directive, path, who })
    }

    /// The error, if PHP would read it as root and start as root.
    #[must_use]
    pub(crate) fn error(self, pool: &str) -> ProgramError {
        ProgramError::IniOfUser {
            pool: pool.to_owned(),
            directive: self.directive.to_owned(),
            path: self.path.display().to_string(),
            who: self.who,
        }
    }
}

/// For root: the first of the pool's ini files that another user can change.
#[must_use]
pub(crate) fn changeable(own: &EngineKey) -> Option<Changeable> {
    let ini = own.ini.iter().filter_map(|ini| match ini {
        PhpIni::Nothing => None,
        PhpIni::At(path) => Some(path.as_path()),
    });
    let mut ini = ini.flat_map(|path| std::iter::once(path.to_owned()).chain(NAMES.iter().map(|name| path.join(name))));
    let in_directory = |directory: &Path| {
        // Only root's directories are listed: another one could hang.
        Changeable::at(SCAN_DIR, directory.to_owned()).or_else(|| {
            let files = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut files = files.filter(|path| path.extension().is_some_and(|end| end == "ini"));
            files.find_map(|path| Changeable::at(SCAN_DIR, path))
        })
    };
    ini.find_map(|path| Changeable::at(INI, path)).or_else(|| scanned(own).find_map(in_directory))
}

/// Who other than root can change the file. A file that does not exist has no other writer than its directory.
fn other_writer(path: &Path) -> Option<String> {
    named_file::other_writer(path).unwrap_or_else(|e| {
        let missing = matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        (!missing).then(|| "another user".to_owned())
    })
}

fn scanned(own: &EngineKey) -> impl Iterator<Item = &Path> {
    let list = own.scan_dir.iter().flat_map(|list| list.to_str());
    list.flat_map(|list| list.split(':')).filter(|path| !path.is_empty()).map(Path::new)
}

/// An ini file or directory that this process cannot read, or with a syntax error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unreadable {
    directive: String,
    path: PathBuf,
    reason: String,
    /// That of a syntax error.
    line: Option<u32>,
}

impl Unreadable {
    /// The error.
    #[must_use]
    pub(crate) fn error(self, pool: &str) -> ProgramError {
        let (pool, directive, path) = (pool.to_owned(), self.directive, self.path.display().to_string());
        match self.line {
            None => ProgramError::Unreadable { pool, directive, path, reason: self.reason },
            Some(line) => ProgramError::IniSyntax { pool, directive, path, line, text: self.reason },
        }
    }
}

/// Checks that this process can read the pool's ini files, and that they have no syntax error. PHP would start without what it cannot
/// read, and without what follows a syntax error.
///
/// # Errors
/// The first that it cannot read.
pub(crate) fn require_readable(own: &EngineKey) -> Result<(), Unreadable> {
    let failed = |directive: &str, path: &Path, reason: String, line| {
        Err(Unreadable { directive: directive.to_owned(), path: path.to_owned(), reason, line })
    };
    let require = |directive: &str, path: &Path, read: io::Result<Option<PathBuf>>| {
        let file = match read {
            Ok(None) => return Ok(()),
            Ok(Some(file)) => file,
            Err(e) => return failed(directive, path, reason(&e), None),
        };
        match syntax_error(&file) {
            Ok(None) => Ok(()),
            Ok(Some((what, line))) => failed(directive, &file, what, Some(line)),
            Err(e) => failed(directive, path, reason(&e), None),
        }
    };
    if let Some(PhpIni::At(path)) = &own.ini {
        require(INI, path, readable(path))?;
    }
    for directory in scanned(own) {
        let list = fs::read_dir(directory).and_then(|list| list.map(|entry| Ok(entry?.path())).collect());
        let list: Vec<PathBuf> = match list {
            Ok(list) => list,
            Err(e) => return require(SCAN_DIR, directory, Err(e)),
        };
        for path in list.iter().filter(|path| path.extension().is_some_and(|end| end == "ini") && path.exists()) {
            require(SCAN_DIR, path, readable(path))?;
        }
    }
    Ok(())
}

/// The syntax error in a file, with its line.
fn syntax_error(file: &Path) -> io::Result<Option<(String, u32)>> {
    let mut text = Vec::new();
    File::open(file)?.take(MOST_READ).read_to_end(&mut text)?;
    // A larger file would be cut within a statement.
    let whole = (text.len() as u64) < MOST_READ;
    Ok(config::syntax_error(&text).filter(|_| whole).map(|error| (error.what, error.line)))
}

/// Finds the file that PHP reads if a pool names this file or directory. `None`: there is none. A FIFO is not opened, since that could
/// wait.
fn readable(path: &Path) -> io::Result<Option<PathBuf>> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return Ok(Some(path.to_owned()));
    }
    if !kind.is_dir() {
        return Ok(None);
    }
    let files = NAMES.iter().map(|name| path.join(name));
    for file in files {
        match fs::metadata(&file) {
            Ok(meta) if meta.is_file() => return Ok(Some(file)),
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    fs::read_dir(path).map(|_| None)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    fn key(ini: Option<&Path>, scan_dir: &str) -> EngineKey {
        let ini = ini.map(|path| PhpIni::At(path.to_owned()));
        EngineKey { ini, scan_dir: Some(scan_dir.into()), ..EngineKey::default() }
    }

    #[test]
    fn what_is_named_has_to_be_there() {
        let place = tempfile::tempdir().unwrap();
        let name = |name: &str| place.path().join(name);
        let missing = |key: &EngineKey| require_readable(key).map_err(|e| e.error("www").to_string());
        fs::create_dir(name("d")).unwrap();
        fs::write(name("php.ini"), "").unwrap();
        assert_eq!(missing(&key(Some(&name("php.ini")), &format!(":{}", name("d").display()))), Ok(()));
        assert_eq!(missing(&key(Some(place.path()), "")), Ok(()));
        let said = format!("[pool www] process.php_ini = {}: No such file or directory (2)", name("x").display());
        assert_eq!(missing(&key(Some(&name("x")), "")), Err(said));
        let said = missing(&key(None, &name("y").display().to_string()));
        assert!(said.unwrap_err().starts_with("[pool www] process.php_ini_scan_dir = "));
    }

    #[test]
    fn a_syntax_error_is_reported_with_its_line() {
        let place = tempfile::tempdir().unwrap();
        let name = |name: &str| place.path().join(name);
        fs::create_dir(name("d")).unwrap();
        let refused = |key: &EngineKey| require_readable(key).map_err(|e| e.error("www").to_string());
        let good = "\u{feff}; it's (fine)\r\n[PHP]\r\na = \"x\n(y\"\n[PATH=/srv/a b]\nb = On\nc[] = ${N:-1} | E_ALL & ~E_NOTICE\n;";
        fs::write(name("php.ini"), good).unwrap();
        fs::write(name("d/a.ini"), good).unwrap();
        let both = key(Some(place.path()), &name("d").display().to_string());
        assert_eq!(refused(&both), Ok(()));
        fs::write(name("d/a.ini"), "a = 1\n\nb = x(y\nopen_basedir = /srv").unwrap();
        let said = "syntax error, unexpected '('; PHP would ignore the file from there on";
        let place_of = |file| format!("{}:3: {said}", name(file).display());
        assert_eq!(refused(&both), Err(format!("[pool www] process.php_ini_scan_dir: {}", place_of("d/a.ini"))));
        for (text, line) in [("a = 1\nb = (\n", 2), ("a = ''\nb = 'x\nc = 1\n", 2), ("[PHP\n", 1), ("a = \"\n", 2)] {
            fs::write(name("php.ini"), text).unwrap();
            let said = refused(&both).unwrap_err();
            assert!(said.contains(&format!("php.ini:{line}: syntax error, unexpected ")), "{text}: {said}");
        }
        fs::write(name("php.ini"), "a = ''\nb = 'x;(y'\n; don't").unwrap();
        assert!(refused(&both).unwrap_err().contains("d/a.ini:"));
        fs::copy(name("d/a.ini"), name("php.ini")).unwrap();
        assert_eq!(refused(&both), Err(format!("[pool www] process.php_ini: {}", place_of("php.ini"))));
    }

    #[test]
    fn files_of_users_are_known() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let name = |name: &str| place.path().join(name);
        fs::create_dir(name("d")).unwrap();
        for file in ["php.ini", "d/a.ini", "d/b.txt"] {
            fs::write(name(file), "").unwrap();
        }
        let both = key(Some(&name("php.ini")), &format!(":{}:/none", name("d").display()));
        assert_eq!(changeable(&both), None);
        chown(name("d/b.txt"), Some(2001), None).unwrap();
        assert_eq!(changeable(&both), None);
        chown(name("d/a.ini"), Some(2001), None).unwrap();
        assert_eq!(changeable(&both).unwrap().path, name("d/a.ini"));
        assert_eq!(changeable(&key(Some(place.path()), "")), None);
        fs::set_permissions(name("php.ini"), Permissions::from_mode(0o666)).unwrap();
        let found = changeable(&key(Some(place.path()), "")).unwrap();
        assert_eq!((found.directive, found.path), (INI, name("php.ini")));
    }
}
