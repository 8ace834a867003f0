//! Finds the files, other than php.ini, that PHP and its extensions read only at their start. php-fpm reads them as root.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::ffi::{HashTable, cfg_get_entry, php_ini_opened_path, php_ini_scanned_files, sapi_module};
use super::names::OfPhp;
use super::text::c_bytes;
use super::{ini, value};
use crate::config::{Names, Statement, files_matching, parse_line};
use crate::engine::{IniFiles, StartFile};

/// Settings that name files which are always read at the start, and the separator of their names. A name may be a pattern.
const READ_AT_START: [(&str, Option<char>); 6] = [
    ("browscap", None),
    ("opcache.preload", None),
    ("opcache.blacklist_filename", None),
    ("ffi.preload", Some(':')),
    ("apc.preload_path", None),
    // The rules of Snuffleupagus.
    ("sp.configuration_file", Some(',')),
];

/// Settings that name files which are read or written while scripts run, as the pool's user under php-fpm too; and the name of
/// php.ini.
const LATER: [&str; 8] = [
    "auto_append_file",
    "auto_prepend_file",
    "cfg_file_path",
    "curl.cainfo",
    "error_log",
    "openssl.cafile",
    "sendmail_path",
    "xdebug.output_dir",
];

/// The files that exist and that this process may read, by the settings in `configuration`.
pub(super) fn look(configuration: *mut HashTable) -> Vec<StartFile> {
    let mut found = Vec::new();
    extensions(&mut found);
    for (setting, separator) in READ_AT_START {
        if setting.starts_with("opcache.") && !enabled("opcache.enable") {
            continue;
        }
        let names = configured(setting).unwrap_or_default();
        let names = names.split(|c| Some(c) == separator).filter(|name| !name.is_empty());
        for path in names.flat_map(matching) {
            found.push(StartFile { setting: setting.to_owned(), path, needed: true });
        }
    }
    // SAFETY: null or PHP's table, which doesn't change while it is looked at.
    if let Some(table) = unsafe { configuration.as_ref() } {
        others(table, &mut found);
    }
    // A FIFO is left out, since its opening could block.
    found.retain(|file| (file.path.is_file() || file.path.is_dir()) && std::fs::File::open(&file.path).is_ok());
    found
}

/// All files that PHP's start depends on. `found`: those that `look` has found.
pub(super) fn all(found: Vec<StartFile>) -> IniFiles {
    let loaded = found.into_iter().filter(|file| file.needed).map(|file| file.path);
    IniFiles {
        php_ini: opened_file(),
        all: scanned_directories().into_iter().chain(ini_files()).chain(loaded).collect(),
        file_cache: configured("opcache.file_cache").filter(|path| !path.is_empty()).map(PathBuf::from),
    }
}

/// What PHP scans for further ini files: PHP_INI_SCAN_DIR, in which an empty name stands for the compiled-in directory.
fn scanned_directories() -> Vec<PathBuf> {
    let compiled = OfPhp.constant("PHP_CONFIG_FILE_SCAN_DIR").unwrap_or_default();
    let given = std::env::var("PHP_INI_SCAN_DIR").unwrap_or_else(|_| compiled.clone());
    let names = given.split(':').map(|name| if name.is_empty() { compiled.as_str() } else { name });
    names.filter(|name| !name.is_empty()).map(PathBuf::from).collect()
}

/// php.ini, if PHP has read one.
fn opened_file() -> Option<PathBuf> {
    // SAFETY: the address of PHP's variable (`ffi::host`), which PHP has set by now. The pointer is copied.
    let opened = unsafe { php_ini_opened_path().read() };
    // SAFETY: null or a C string that PHP keeps until it ends.
    unsafe { c_bytes(opened) }.filter(|path| !path.is_empty()).map(|path| PathBuf::from(OsStr::from_bytes(path)))
}

/// The ini files that PHP has read.
fn ini_files() -> Vec<PathBuf> {
    // SAFETY: the address of PHP's variable (`ffi::host`), which PHP has set by now. The pointer is copied.
    let scanned = unsafe { php_ini_scanned_files().read() };
    // SAFETY: null or a C string that PHP keeps until it ends.
    let scanned = unsafe { c_bytes(scanned) }.unwrap_or_default();
    let scanned = scanned.split(|&byte| byte == b'\n').map(|name| name.strip_suffix(b",").unwrap_or(name));
    let scanned = scanned.filter(|path| !path.is_empty()).map(|path| PathBuf::from(OsStr::from_bytes(path)));
    opened_file().into_iter().chain(scanned).collect()
}

fn matching(name: &str) -> Vec<PathBuf> {
    if Path::new(name).is_dir() { vec![name.into()] } else { files_matching(name) }
}

fn configured(setting: &str) -> Option<String> {
    // SAFETY: PHP has read php.ini. The name is given with its length.
    let entry = unsafe { cfg_get_entry(setting.as_ptr().cast(), setting.len()) };
    // SAFETY: null or a value of PHP's table.
    (!entry.is_null()).then(|| unsafe { value::plain(entry) }).flatten()
}

/// The value of a flag that is on by default.
fn enabled(setting: &str) -> bool {
    !configured(setting).is_some_and(|value| ["", "0", "off", "no", "false"].contains(&value.to_lowercase().as_str()))
}

/// Files that other settings name: those of extensions that this module does not know.
fn others(table: &HashTable, found: &mut Vec<StartFile>) {
    // SAFETY: PHP's table of php.ini has names as keys, and PHP does not change it while this callback runs.
    for bucket in unsafe { value::buckets(table) } {
        // SAFETY: the key of a live bucket.
        let Some(setting) = (unsafe { value::key(bucket) }).and_then(|name| name.to_str().ok()) else { continue };
        let known = LATER.contains(&setting) || READ_AT_START.iter().any(|(name, _)| *name == setting);
        if known || setting.contains("log") {
            continue;
        }
        // SAFETY: the value of a live bucket.
        let Some(text) = (unsafe { value::plain(&raw const bucket.val) }) else { continue };
        let path = PathBuf::from(text);
        if path.is_absolute() && path.is_file() {
            found.push(StartFile { setting: setting.to_owned(), path, needed: false });
        }
    }
}

/// Extensions that php.ini and `-d` load. PHP has no list of them at this point, so the files that it has read are read again.
fn extensions(found: &mut Vec<StartFile>) {
    let directory = ini::text(c"extension_dir").unwrap_or_default();
    let mut add = |setting: &str, name: &str| {
        let there = candidates(setting, name, &directory).into_iter().find(|path| path.is_file());
        found.extend(there.map(|path| StartFile { setting: setting.to_owned(), path, needed: true }));
    };
    for path in ini_files() {
        if path.is_file() {
            named_in(&std::fs::read(&path).unwrap_or_default(), &OfIni, &mut add);
        }
    }
    // SAFETY: PHP's copy of the module's description.
    let defines: *const c_char = unsafe { (*sapi_module()).ini_entries };
    // SAFETY: null or the C string that `lifecycle::start` leaked for PHP.
    named_in(unsafe { c_bytes(defines) }.unwrap_or_default(), &OfIni, &mut add);
}

/// The paths where PHP looks for an extension, in its order.
fn candidates(setting: &str, name: &str, directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(directory);
    // Not `join`, which drops the directory if the name is absolute.
    let within = directory.join(format!("{}.so", name.trim_start_matches('/')));
    match setting {
        "zend_extension" if name.starts_with('/') => vec![name.into()],
        "extension" if name.contains('/') => vec![name.into(), within],
        _ => vec![directory.join(name), within],
    }
}

/// Calls `add` for each extension that a text in the form of php.ini names.
fn named_in(text: &[u8], names: &dyn Names, tell: &mut impl FnMut(&str, &str)) {
    let mut special = false;
    for line in text.split(|&byte| byte == b'\n') {
        let may_matter = line.trim_ascii_start().starts_with(b"[") || contains_ignoring_case(line, b"extension");
        if !may_matter {
            continue;
        }
        for statement in parse_line(&[line, b"\n"].concat(), names).statements {
            match statement {
                // Sections for a host or a directory load no extensions.
                Statement::Section(name) => {
                    let kind = name.get(..4).unwrap_or_default();
                    special = kind.eq_ignore_ascii_case(b"PATH") || kind.eq_ignore_ascii_case(b"HOST");
                }
                Statement::Entry { name, value: Some(value) } if !special && !value.is_empty() => {
                    let setting = ["extension", "zend_extension"];
                    let setting = setting.into_iter().find(|one| name.eq_ignore_ascii_case(one.as_bytes()));
                    if let (Some(setting), Ok(value)) = (setting, std::str::from_utf8(&value)) {
                        tell(setting, value);
                    }
                }
                Statement::Entry { .. } | Statement::Array { .. } => {}
            }
        }
    }
}

fn contains_ignoring_case(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// The meaning of names in php.ini: its own settings, then the environment; constants of PHP.
struct OfIni;

impl Names for OfIni {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        OfPhp.variable(name).or_else(|| std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec))
    }

    fn constant(&self, name: &str) -> Option<String> {
        OfPhp.constant(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NoNames;

    #[test]
    fn what_is_loaded_is_told_and_what_is_not_is_not() {
        let text = b"Extension = a\n; extension=b\nextension_dir=/x\n[PATH=/srv]\nextension=c\n[PHP]\n zend_extension=\"d\" ; e\nextension=\n";
        let mut told = Vec::new();
        named_in(text, &NoNames, &mut |setting, name| told.push(format!("{setting} {name}")));
        assert_eq!(told, ["extension a", "zend_extension d"]);
    }

    #[test]
    fn extensions_are_looked_for_where_php_does() {
        let paths = |setting, name| candidates(setting, name, "/ext");
        assert_eq!(paths("extension", "a"), [Path::new("/ext/a"), Path::new("/ext/a.so")]);
        assert_eq!(paths("extension", "/x/a.so"), [Path::new("/x/a.so"), Path::new("/ext/x/a.so.so")]);
        assert_eq!(paths("zend_extension", "/x/a.so"), [Path::new("/x/a.so")]);
        assert_eq!(paths("zend_extension", "a.so"), [Path::new("/ext/a.so"), Path::new("/ext/a.so.so")]);
    }
}
