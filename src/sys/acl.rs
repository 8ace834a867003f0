//! POSIX access control lists (ACL) of files, in the form of the extended attribute `system.posix_acl_access` (acl(5),
//! linux/posix_acl_xattr.h).

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `POSIX_ACL_XATTR_VERSION`
const VERSION: u32 = 2;
// The tags `ACL_USER_OBJ`, `ACL_USER`, …
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// `ACL_UNDEFINED_ID`: an entry without a user or group.
const UNDEFINED_ID: u32 = u32::MAX;

/// Sets the mode of a file, and gives these users and groups read and write access (setxattr(2)).
///
/// # Errors
/// `EOPNOTSUPP` where the file system has no access lists.
pub fn set(path: &Path, users: &[u32], groups: &[u32], mode: u32) -> io::Result<()> {
    let list = encode(users, groups, mode);
    let path = CString::new(path.as_os_str().as_bytes())?;
    let name = c"system.posix_acl_access";
    // SAFETY: two C strings and a buffer with its length, which live during the call and are only read.
    let done = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), list.as_ptr().cast(), list.len(), 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Removes the access list of a file (removexattr(2)). A file without one is no error.
///
/// # Errors
/// Those of removexattr.
pub fn remove(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let name = c"system.posix_acl_access";
    // SAFETY: two C strings, which live during the call and are only read.
    if unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)) { Ok(()) } else { Err(error) }
}

fn encode(users: &[u32], groups: &[u32], mode: u32) -> Vec<u8> {
    let bits = |shift: u32| u16::try_from((mode >> shift) & 7).unwrap_or(0);
    let mut entries = vec![(USER_OBJ, bits(6), UNDEFINED_ID)];
    entries.extend(sorted(users).map(|id| (USER, 6, id)));
    entries.push((GROUP_OBJ, bits(3), UNDEFINED_ID));
    entries.extend(sorted(groups).map(|id| (GROUP, 6, id)));
    entries.push((MASK, 6 | bits(3), UNDEFINED_ID));
    entries.push((OTHER, bits(0), UNDEFINED_ID));
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, permission, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permission.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn sorted(ids: &[u32]) -> impl Iterator<Item = u32> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_the_list() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, b"").unwrap();
        match set(&file, &[65534, 1], &[65534], 0o660) {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            other => other.unwrap(),
        }
        remove(&file).unwrap();
        remove(&file).unwrap();
    }
}
