//! Whether a file and its path are root's alone, as those of a program that root starts have to be.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use nix::sys::stat::SFlag;

use super::controller::Controller;
use super::statx::statx;
use super::walk::{Rules, walk};

/// Who other than root can change the file, or replace it or a part of its path. `None`: no one. Symbolic links of root's are
/// followed. No directory or file of a user's is entered or opened.
///
/// # Errors
/// The file does not exist, or cannot be looked at.
pub fn other_writer(path: &Path) -> io::Result<Option<String>> {
    let entry = walk(path, &Rules { follow: true, owners: None })?;
    let others = || Some("a group or everybody".to_owned());
    match entry.controller {
        Controller::User(user) => return Ok(Some(format!("user {user}"))),
        Controller::Shared => return Ok(others()),
        Controller::Root if entry.shared => return Ok(others()),
        Controller::Sticky | Controller::Root | Controller::Own => {}
    }
    let file = statx(&entry.hold()?, OsStr::new(""))?;
    // In /tmp a directory of root's can be neither replaced nor linked to, unlike a file.
    let protected = entry.controller != Controller::Sticky || file.is(SFlag::S_IFDIR);
    Ok(match (file.uid, file.mode & 0o022) {
        (0, 0) if protected => None,
        (0, _) => others(),
        (user, _) => Some(format!("user {user}")),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn only_what_no_other_user_can_replace_is_roots() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let name = |name: &str| place.path().join(name);
        let who = |path: &str| other_writer(&name(path)).unwrap();
        let mode = |path: &str, mode| fs::set_permissions(name(path), Permissions::from_mode(mode)).unwrap();
        for dir in ["root", "shared", "shared/root", "users"] {
            fs::create_dir(name(dir)).unwrap();
            fs::write(name(dir).join("file"), "").unwrap();
            symlink("file", name(dir).join("link")).unwrap();
        }
        symlink(name("users"), name("to_users")).unwrap();
        mode("shared", 0o777);
        for path in ["users/file", "users/link", "users"] {
            chown(name(path), Some(2001), None).unwrap();
        }
        assert_eq!((who("root/file"), who("root/link")), (None, None));
        let everybody = Some("a group or everybody".to_owned());
        assert_eq!((who("shared/file"), who("shared/root/file")), (everybody.clone(), everybody.clone()));
        assert_eq!(other_writer(place.path()).unwrap(), None);
        let in_tmp = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(other_writer(in_tmp.path()).unwrap(), everybody);
        let user = Some("user 2001".to_owned());
        assert_eq!(
            (who("users/file"), who("users/link"), who("to_users/none")),
            (user.clone(), user.clone(), user.clone())
        );
        mode("root/file", 0o664);
        assert_eq!(who("root/link"), everybody);
        chown(name("root/file"), Some(2001), None).unwrap();
        assert_eq!(who("root/link"), user);
        assert!(other_writer(&name("root/none")).is_err());
    }
}
