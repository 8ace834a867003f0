//! What a file is, without asking a file server that may not answer: attributes as the kernel has them at the moment.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstatat};

/// A file's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names that it has.
    pub links: u64,
    /// Its number in its file system.
    pub inode: u64,
    /// The mount that it was reached through, where the kernel tells.
    pub mount: Option<u64>,
}

impl Attributes {
    /// Whether it is of that type.
    #[must_use]
    pub fn is(&self, kind: SFlag) -> bool {
        self.mode & SFlag::S_IFMT.bits() == kind.bits()
    }
}

/// Looks at a name in a directory, or with an empty name at what the descriptor is. A link is looked at itself.
///
/// # Errors
/// Those of stat.
pub fn statx(at: impl AsFd, name: &OsStr) -> io::Result<Attributes> {
    match extended(at.as_fd().as_raw_fd(), name) {
        // An old kernel has no such call, and an old container's filter refuses it.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => plain(at, name),
        seen => seen,
    }
}

const WANTED: u32 = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;

fn extended(at: i32, name: &OsStr) -> io::Result<Attributes> {
    let name = CString::new(name.as_bytes())?;
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
    let mut found = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: a descriptor or AT_FDCWD, a C string that lives during the call, and a place of the size that the kernel fills.
    let done = unsafe { libc::statx(at, name.as_ptr(), flags, WANTED, found.as_mut_ptr()) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: numbers, zeroed before the kernel wrote those that it knows.
    let found = unsafe { found.assume_init() };
    Ok(Attributes {
        mode: u32::from(found.stx_mode),
        uid: found.stx_uid,
        gid: found.stx_gid,
        links: u64::from(found.stx_nlink),
        inode: found.stx_ino,
        mount: Some(found.stx_mnt_id).filter(|_| found.stx_mask & libc::STATX_MNT_ID != 0),
    })
}

fn plain(at: impl AsFd, name: &OsStr) -> io::Result<Attributes> {
    let found: FileStat = fstatat(at, name, AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(Attributes {
        mode: found.st_mode,
        uid: found.st_uid,
        gid: found.st_gid,
        links: found.st_nlink,
        inode: found.st_ino,
        mount: None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn both_ways_see_the_same() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("file"), "").unwrap();
        std::fs::set_permissions(place.path().join("file"), std::fs::Permissions::from_mode(0o4711)).unwrap();
        std::fs::hard_link(place.path().join("file"), place.path().join("twin")).unwrap();
        symlink("file", place.path().join("link")).unwrap();
        let dir = std::fs::File::open(place.path()).unwrap();
        for name in ["file", "link", ""] {
            let seen = statx(&dir, name.as_ref()).unwrap();
            let other = plain(&dir, name.as_ref()).unwrap();
            assert_eq!(Attributes { mount: None, ..seen }, other, "{name:?}");
        }
        let file = statx(&dir, "file".as_ref()).unwrap();
        assert_eq!((file.links, file.mode & 0o7777, file.is(SFlag::S_IFREG)), (2, 0o4711, true));
        assert_eq!(
            file.inode,
            dir.metadata().and_then(|_| std::fs::metadata(place.path().join("twin"))).unwrap().ino()
        );
        assert!(statx(&dir, "link".as_ref()).unwrap().is(SFlag::S_IFLNK));
        assert_eq!(statx(&dir, "none".as_ref()).unwrap_err().raw_os_error(), Some(libc::ENOENT));
    }
}
