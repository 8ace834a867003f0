//! Attributes of a file as the kernel has them now (statx(2), `AT_STATX_DONT_SYNC`). A file server, which may not answer, is not
//! asked.

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
    /// Hard links.
    pub links: u64,
    /// Inode number.
    pub inode: u64,
    /// The device that the inode is on: major and minor number.
    pub device: (u32, u32),
    /// The id of the mount that it was reached through (`STATX_MNT_ID`, Linux 5.8).
    pub mount: Option<u64>,
}

impl Attributes {
    /// Whether it is a file of that type.
    #[must_use]
    pub fn is(&self, kind: SFlag) -> bool {
        self.mode & SFlag::S_IFMT.bits() == kind.bits()
    }
}

/// The attributes of a name in a directory; with an empty name, those of the descriptor's own file. A symbolic link is not
/// followed, and nothing is mounted automatically (`AT_SYMLINK_NOFOLLOW`, `AT_NO_AUTOMOUNT`).
///
/// # Errors
/// Those of statx.
pub fn statx(at: impl AsFd, name: &OsStr) -> io::Result<Attributes> {
    match extended(at.as_fd().as_raw_fd(), name) {
        // Linux before 4.11 has no statx, and the seccomp filter of an old container refuses it.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => plain(at, name),
        seen => seen,
    }
}

const WANTED: u32 = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;

fn extended(at: i32, name: &OsStr) -> io::Result<Attributes> {
    let name = CString::new(name.as_bytes())?;
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
    let mut found = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: a descriptor or AT_FDCWD, a C string and a place for the result, both of which live during the call.
    let done = unsafe { libc::statx(at, name.as_ptr(), flags, WANTED, found.as_mut_ptr()) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every member is a number, zeroed before the kernel wrote those that it knows.
    let found = unsafe { found.assume_init() };
    Ok(Attributes {
        mode: u32::from(found.stx_mode),
        uid: found.stx_uid,
        gid: found.stx_gid,
        links: u64::from(found.stx_nlink),
        inode: found.stx_ino,
        device: (found.stx_dev_major, found.stx_dev_minor),
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
        device: (libc::major(found.st_dev), libc::minor(found.st_dev)),
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
