//! Whether the zygotes of all groups can be forked from one PHP: it must have read nothing but what each of their users may read and
//! only root can change, and must have run no code of a user.
#![forbid(unsafe_code)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::error::BaseError;
use crate::config::EngineKey;
use crate::configured::own_ini;
use crate::engine::{IniFiles, StartFile};

/// The setting that makes PHP run scripts of a user at the end of its start.
const PRELOAD: &str = "opcache.preload";
/// The setting that makes an extension load libraries of a user.
const FFI_PRELOAD: &str = "ffi.preload";

/// Before php.ini is read, as root: no user may be able to change the file that the pools name, and it must be readable and without
/// syntax errors. PHP would start without it.
///
/// # Errors
/// PHP must not be started.
pub(super) fn before_ini(own: &EngineKey, privileged: bool) -> Result<(), BaseError> {
    match own_ini::changeable(own).filter(|_| privileged) {
        Some(_) => Err(BaseError::OwnIni),
        None => own_ini::require_readable(own).map_err(|_| BaseError::OwnIniUnreadable),
    }
}

/// Before anything that php.ini names is loaded, as the base's user. `privileged`: the groups have users of their own. Returns whether
/// scripts are preloaded.
///
/// # Errors
/// PHP must not be started.
pub(super) fn check(ini: &IniFiles, files: &[StartFile], privileged: bool) -> Result<bool, BaseError> {
    let of = |setting| files.iter().filter(move |file| file.setting == setting).map(|file| file.path.as_path());
    let is_set = |setting| of(setting).next().is_some();
    if is_set(FFI_PRELOAD) {
        return Err(BaseError::UserCode { setting: FFI_PRELOAD.to_owned() });
    }
    let all = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
    if let Some(cache) = ini.file_cache.as_deref().filter(|cache| access(*cache, all).is_err()) {
        return Err(BaseError::FileCache { path: cache.display().to_string() });
    }
    if privileged {
        // The zygotes preload scripts as their users.
        let preloaded: Vec<&Path> = of(PRELOAD).collect();
        let next = files.iter().map(|file| file.path.as_path()).chain(ini.all.iter().map(PathBuf::as_path));
        let mut checked = next.filter(|path| path.exists() && !preloaded.contains(path));
        checked.try_for_each(belongs_to_root)?;
    }
    Ok(is_set(PRELOAD))
}

/// Whether only root can have made the file, and all users may read it.
fn belongs_to_root(path: &Path) -> Result<(), BaseError> {
    let refuse = |path: &Path| BaseError::File { path: path.display().to_string() };
    let real = std::fs::canonicalize(path).map_err(|_| refuse(path))?;
    for (depth, part) in real.ancestors().enumerate() {
        let found = std::fs::metadata(part).map_err(|_| refuse(part))?;
        let mode = found.permissions().mode();
        let wanted = match (found.is_dir(), depth) {
            (true, 0) => 0o005,
            (true, _) => 0o001,
            (false, _) => 0o004,
        };
        // A sticky directory, such as /tmp, lets nobody replace root's files.
        let sticky = found.is_dir() && mode & 0o1000 != 0;
        let others_write = mode & 0o002 != 0 || (mode & 0o020 != 0 && found.gid() != 0);
        if found.uid() != 0 || mode & wanted != wanted || (others_write && !sticky) {
            return Err(refuse(part));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(setting: &str, privileged: bool) -> Result<bool, BaseError> {
        let file = StartFile { setting: setting.to_owned(), path: "/etc/passwd".into(), needed: true };
        super::check(&IniFiles::default(), &[file], privileged)
    }

    #[test]
    fn code_of_users_is_not_run() {
        assert_eq!(check(FFI_PRELOAD, false).unwrap_err().to_string(), "ffi.preload is set");
        assert!(check(PRELOAD, true).is_ok_and(|preloads| preloads));
        assert!(check("zend_extension", true).is_ok_and(|preloads| !preloads));
    }

    #[test]
    fn files_are_roots_and_all_users_may_read_them() {
        assert!(belongs_to_root(Path::new("/etc/passwd")).is_ok() && belongs_to_root(Path::new("/usr/lib")).is_ok());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("php.ini");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(belongs_to_root(&path).is_err() && belongs_to_root(&dir.path().join("none")).is_err());
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(belongs_to_root(&path).is_ok());
        for mode in [0o640, 0o646] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(belongs_to_root(&path).is_err(), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert!(belongs_to_root(&path).is_err());
    }

    #[test]
    fn the_file_cache_is_open_to_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let check = |cache: &Path| {
            let ini = IniFiles { file_cache: Some(cache.to_owned()), ..IniFiles::default() };
            super::check(&ini, &[], false)
        };
        assert!(check(dir.path()).is_ok());
        assert!(check(&dir.path().join("none")).is_err());
    }
}
