//! Who controls a directory entry: which users can replace it by something else.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use super::mounts;
use super::statx::Attributes;

/// Who can put something else in the place of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Not asked: this process is not root, so it opens what its own rights allow and acts for no other user.
    Own,
    /// Only root.
    Root,
    /// Everybody can add entries, but only its owner can replace a file: a directory with the sticky bit, such as /tmp.
    Sticky,
    /// A group, or everybody.
    Shared,
    /// Root and this user.
    User(u32),
}

/// The controller of the entries of a directory.
///
/// # Errors
/// The directory is on another user's FUSE mount.
pub(super) fn controller_of(dir: &OwnedFd, attributes: &Attributes) -> io::Result<Controller> {
    refuse_foreign_mount(dir, attributes).map(|()| controller_by_mode(attributes))
}

/// The same by owner and mode alone. With an access list (ACL) the group's bits are the mask: no entry of the list grants more.
pub(super) fn controller_by_mode(directory: &Attributes) -> Controller {
    match (directory.uid, directory.mode & 0o022, directory.mode & libc::S_ISVTX) {
        (0, 0, _) => Controller::Root,
        (0, _, 0) => Controller::Shared,
        (0, ..) => Controller::Sticky,
        (user, ..) => Controller::User(user),
    }
}

/// Refuses a file on a FUSE mount of a user: that user's program answers each access and can delay it without end.
pub(super) fn refuse_foreign_mount(file: &OwnedFd, attributes: &Attributes) -> io::Result<()> {
    match mounts::served_by(file, attributes)? {
        Some(0) | None => Ok(()),
        Some(user) => Err(io::Error::other(format!(
            "it is on a FUSE mount of user {user}, whose program can block every process that opens it: use another place"
        ))),
    }
}

/// Refuses a user's file in a directory where everybody can create files, if it is not one of `owners`.
pub(super) fn stranger(user: u32, owners: &[u32]) -> io::Error {
    let meant = owners.iter().find(|owner| **owner != 0).map(|owner| format!(" or user {owner}")).unwrap_or_default();
    io::Error::other(format!(
        "it belongs to user {user} and not to root{meant}, in a directory where everybody can create files: remove it, or use another directory"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_mode_of_a_directory_tell_its_controller() {
        let directory = |uid, mode| Attributes { mode, uid, gid: 0, links: 2, inode: 1, device: (0, 0), mount: None };
        let cases = [
            (0, 0o40755, Controller::Root),
            (0, 0o41700, Controller::Root),
            (0, 0o41777, Controller::Sticky),
            (0, 0o41775, Controller::Sticky),
            (0, 0o40775, Controller::Shared),
            (0, 0o40757, Controller::Shared),
            (2001, 0o40700, Controller::User(2001)),
            (2001, 0o41777, Controller::User(2001)),
        ];
        for (uid, mode, controller) in cases {
            assert_eq!(controller_by_mode(&directory(uid, mode)), controller, "{uid} {mode:o}");
        }
    }
}
