//! The mount of a file: its type, the user whose program serves it (FUSE), and the device number that the kernel uses itself
//! (stat shows another one on some file systems). All of it is read from `/proc/self/mountinfo` (proc(5)), which asks no file
//! server.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::AT_FDCWD;

use super::mount_list;
use super::statx::{Attributes, statx};
use crate::sys::proc_file;

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Major and minor number.
    pub device: (u32, u32),
    /// The file system's type.
    pub kind: String,
    /// The user whose process serves the file system (FUSE, `user_id`). Such a process may never answer.
    pub served_by: Option<u32>,
}

/// The mount of an open file.
#[must_use]
pub fn of(file: impl AsFd, seen: &Attributes) -> Option<Mount> {
    let id = seen.mount.or_else(|| id_of(file.as_fd().as_raw_fd()))?;
    mount_list::look(|list| find(list, id)).ok()?
}

/// The mount of an open file, and the file's inode.
#[must_use]
pub fn identity(file: impl AsFd) -> Option<(Mount, u64)> {
    let seen = statx(&file, "".as_ref()).ok()?;
    Some((of(file, &seen)?, seen.inode))
}

/// The user whose program serves the file's mount. `None`: none does.
///
/// # Errors
/// The mount is not in the list: it has been detached, and any user's program may serve it.
pub fn served_by(file: impl AsFd, seen: &Attributes) -> io::Result<Option<u32>> {
    let Some(id) = seen.mount.or_else(|| id_of(file.as_fd().as_raw_fd())) else { return Ok(None) };
    let Ok(found) = mount_list::look(|list| find(list, id)) else { return Ok(None) };
    match found {
        Some(mount) => Ok(mount.served_by),
        // In a chroot that is no mount point, the mount of the root directory is not listed.
        None if statx(AT_FDCWD, "/".as_ref())?.mount.is_none_or(|root| root == id) => Ok(None),
        None => Err(io::Error::other("it is on a mount that has just been detached: try again, or use another place")),
    }
}

fn id_of(raw: i32) -> Option<u64> {
    let text = String::from_utf8(proc_file::read(format!("/proc/self/fdinfo/{raw}")).ok()?).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// A line has: id, parent, major:minor, root, mount point, options, optional fields, a dash, type, source, options of the file
/// system.
pub(super) fn find(list: &str, id: u64) -> Option<Mount> {
    let line = list.lines().find(|line| line.split(' ').next().and_then(|n| n.parse().ok()) == Some(id))?;
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    let (_, rest) = line.split_once(" - ")?;
    let mut rest = rest.split(' ');
    let kind = rest.next()?.to_owned();
    let options = rest.next_back().unwrap_or_default();
    let user = options.split(',').find_map(|option| option.strip_prefix("user_id=")?.parse().ok());
    let served_by = user.filter(|_| kind.starts_with("fuse"));
    Some(Mount { device: (major.parse().ok()?, minor.parse().ok()?), kind, served_by })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        29 22 0:26 / /run rw,nosuid - tmpfs tmpfs rw,size=10%,mode=755\n\
        61 22 0:51 / /home/bob/m rw,nosuid shared:7 master:2 - fuse.sshfs bob@host:\\040x rw,user_id=2002,group_id=2002\n";

    #[test]
    fn mounts_are_found_by_number() {
        assert_eq!(find(LIST, 29).unwrap(), Mount { device: (0, 26), kind: "tmpfs".into(), served_by: None });
        assert_eq!(find(LIST, 61).unwrap().served_by, Some(2002));
        assert_eq!((find(LIST, 2), find("", 1), find("1 2", 1)), (None, None, None));
    }

    #[test]
    fn a_name_that_is_no_utf8_hides_no_mount() {
        let bobs = b"70 22 0:52 / /home/bob/\xff rw - fuse.x x rw,user_id=2002\n";
        let list = mount_list::text_of(&[bobs, LIST.as_bytes()].concat());
        assert_eq!(find(&list, 70).unwrap().served_by, Some(2002));
        assert_eq!(find(&list, 61).unwrap().served_by, Some(2002));
    }

    #[test]
    fn an_open_file_has_one() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        let seen = statx(&file, "".as_ref()).unwrap();
        assert_eq!(of(&file, &seen).unwrap().kind, "proc");
        assert_eq!(id_of(file.as_raw_fd()), seen.mount.or(id_of(file.as_raw_fd())));
    }
}
