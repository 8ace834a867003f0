//! Who may connect to a socket: owner, group, mode and access list (ACL) of its file.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use nix::fcntl::AtFlags;
use nix::unistd::{Gid, Uid, fchownat};

use super::SocketFile;
use crate::sys::acl;
use crate::sys::named_file::name_of;
use crate::sys::named_file::statx::statx;

/// Who may connect.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Owner.
    pub uid: u32,
    /// Group. `None`: the group that a new file in its directory gets.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: u32,
    /// Further users who may connect.
    pub acl_users: &'a [u32],
    /// Further groups whose members may connect.
    pub acl_groups: &'a [u32],
}

/// The attribute that could not be changed, and the reason.
#[derive(Debug)]
pub struct Failure {
    /// A verb, as in "failed to … the socket".
    pub what: &'static str,
    /// The system's reason.
    pub error: io::Error,
}

impl SocketFile {
    /// Whether the file has this access already.
    #[must_use]
    pub fn has(&self, access: &Access<'_>) -> bool {
        let Ok(seen) = statx(&self.file, OsStr::new("")) else { return false };
        let wanted = (access.uid, self.gid(access), access.mode);
        (seen.uid, seen.gid, seen.mode & 0o7777) == wanted
            && access.acl_users.is_empty()
            && access.acl_groups.is_empty()
    }

    fn gid(&self, access: &Access<'_>) -> u32 {
        access.gid.or(self.group).unwrap_or_else(|| Gid::effective().as_raw())
    }

    /// Sets owner, group, mode and access list; an empty list removes one that was there. The caller has proved that the file
    /// belongs to its socket (`is_of`).
    ///
    /// # Errors
    /// Those of chown, chmod and setxattr.
    pub fn set_access(&self, access: &Access<'_>) -> Result<(), Failure> {
        let failed = |what| move |error: io::Error| Failure { what, error };
        let before = statx(&self.file, OsStr::new("")).map_err(failed("look at"))?;
        let gid = self.gid(access);
        if (before.uid, before.gid) != (access.uid, gid) {
            let (uid, gid) = (Uid::from_raw(access.uid), Gid::from_raw(gid));
            fchownat(&self.file, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)
                .map_err(|e| failed("chown()")(e.into()))?;
        }
        let name = name_of(&self.file);
        if access.acl_users.is_empty() && access.acl_groups.is_empty() {
            acl::remove(&name).map_err(failed("clear the ACL of"))?;
            return fs::set_permissions(&name, fs::Permissions::from_mode(access.mode)).map_err(failed("chmod()"));
        }
        // The list contains the mode. One call sets both, so no user of the old and the new list is refused in between.
        acl::set(&name, access.acl_users, access.acl_groups, access.mode).map_err(failed("set the ACL of"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixListener;

    use super::super::{Proof, find};
    use super::*;

    fn access() -> Access<'static> {
        Access { uid: Uid::effective().as_raw(), gid: None, mode: 0o640, acl_users: &[], acl_groups: &[] }
    }

    #[test]
    fn a_socket_gets_its_mode_and_loses_its_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = OwnedFd::from(UnixListener::bind(&path).unwrap());
        let file = find(&path).unwrap();
        assert_eq!(file.is_of(&listener), Proof::Ours);
        let listed = Access { acl_users: &[65534], ..access() };
        match file.set_access(&listed) {
            Err(Failure { error, .. }) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            other => other.unwrap(),
        }
        file.set_access(&access()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(file.has(&access()) && !file.has(&listed) && !file.has(&Access { mode: 0o600, ..access() }));
    }
}
