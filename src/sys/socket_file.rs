//! The file of a unix socket, held by a descriptor: what is changed is that socket, whatever is put in its place meanwhile.
//! Directories of sockets often belong to a pool's user, who must not be able to turn root's chown on other files.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Gid, Uid, fchownat};

/// Who may connect.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Owner.
    pub uid: u32,
    /// Group; `None`: that which a socket made in its directory would have.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: u32,
    /// Users who may connect beside these.
    pub acl_users: &'a [u32],
    /// Groups that may.
    pub acl_groups: &'a [u32],
}

/// What could not be done, and why.
#[derive(Debug)]
pub struct Failure {
    /// A verb, as in "failed to … the socket".
    pub what: &'static str,
    /// The system's reason.
    pub error: io::Error,
}

/// Is there a socket at that path? A symbolic link is none.
#[must_use]
pub fn exists(path: &Path) -> bool {
    open(path).is_ok()
}

/// Gives a socket its owner, group, mode and access list; a list that it had before goes.
///
/// # Errors
/// There is no socket at that path, or this process may not change it.
pub fn set_access(path: &Path, access: &Access<'_>) -> Result<(), Failure> {
    let failed = |what| move |error: io::Error| Failure { what, error };
    let file = open(path).map_err(failed("find"))?;
    let before = fstat(&file).map_err(|e| failed("look at")(e.into()))?;
    let gid = access.gid.unwrap_or_else(|| group_as_made(path));
    if (before.st_uid, before.st_gid) != (access.uid, gid) {
        fchownat(&file, "", Some(Uid::from_raw(access.uid)), Some(Gid::from_raw(gid)), AtFlags::AT_EMPTY_PATH)
            .map_err(|e| failed("chown()")(e.into()))?;
    }
    let name = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if access.acl_users.is_empty() && access.acl_groups.is_empty() {
        super::acl::remove(&name).map_err(failed("clear the ACL of"))?;
        return fs::set_permissions(&name, fs::Permissions::from_mode(access.mode)).map_err(failed("chmod()"));
    }
    // The list holds the mode, too: nobody who stays in it is shut out for a moment.
    super::acl::set(&name, access.acl_users, access.acl_groups, access.mode).map_err(failed("set the ACL of"))
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let file = openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    let stat: FileStat = fstat(&file)?;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    // A further name could be that of a socket elsewhere.
    if kind != SFlag::S_IFSOCK || stat.st_nlink != 1 {
        return Err(io::Error::from_raw_os_error(libc::ENOTSOCK));
    }
    Ok(file)
}

/// A directory with the set-group-id bit passes its group on.
fn group_as_made(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    let directory = path.parent().and_then(|directory| fs::metadata(directory).ok());
    let passed_on = directory.filter(|directory| directory.mode() & libc::S_ISGID != 0).map(|d| d.gid());
    passed_on.unwrap_or_else(|| Gid::effective().as_raw())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn access() -> Access<'static> {
        Access { uid: Uid::effective().as_raw(), gid: None, mode: 0o640, acl_users: &[], acl_groups: &[] }
    }

    #[test]
    fn a_socket_gets_its_mode_and_loses_its_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        let listed = Access { acl_users: &[65534], ..access() };
        match set_access(&path, &listed) {
            Err(Failure { error, .. }) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            other => other.unwrap(),
        }
        set_access(&path, &access()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(exists(&path));
    }

    #[test]
    fn links_and_other_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let [socket, link, file, twin] = ["s", "l", "f", "t"].map(|name| dir.path().join(name));
        let _listener = UnixListener::bind(&socket).unwrap();
        fs::write(&file, b"").unwrap();
        symlink(&socket, &link).unwrap();
        for wrong in [&link, &file, &dir.path().join("none")] {
            assert!(set_access(wrong, &access()).is_err() && !exists(wrong), "{}", wrong.display());
        }
        fs::hard_link(&socket, &twin).unwrap();
        assert!(set_access(&socket, &access()).is_err());
    }
}
