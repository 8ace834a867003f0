//! Whether a directory exists, and which one it is. It may be in a directory of a user, which may hang.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::Uid;

use super::statx::{Attributes, statx};
use super::{Answer, Entry, Rules, Task};

/// The identity of a directory: the numbers of its device, and its inode.
pub type DirectoryId = (u32, u32, u64);

/// A look at a directory, which may be going on in a child.
#[derive(Debug)]
pub struct Look(Way);

#[derive(Debug)]
enum Way {
    /// This process is not root.
    Plain(bool),
    Asked(Task),
}

impl Look {
    /// Begins to look.
    #[must_use]
    pub fn begin(path: &Path) -> Self {
        if !Uid::effective().is_root() {
            return Self(Way::Plain(path.is_dir()));
        }
        let rules = Rules { follow: true, owners: None };
        Self(Way::Asked(Task::start(path, rules, &[], Box::new(open))))
    }

    /// Whether it is over by then.
    pub fn is_over(&mut self, until: Instant) -> bool {
        match &mut self.0 {
            Way::Plain(_) => true,
            Way::Asked(task) => task.is_over(Some(until)),
        }
    }

    /// Waits for its end. The identity is not known if a user's permissions do not allow a look, or if this process is not root.
    ///
    /// # Errors
    /// There is no such directory (`ENOENT`, `ENOTDIR`, `ELOOP`), or it cannot be reached.
    pub fn wait(self) -> io::Result<Option<DirectoryId>> {
        let finished = match self.0 {
            Way::Plain(true) => return Ok(None),
            Way::Plain(false) => return Err(Errno::ENOENT.into()),
            Way::Asked(task) => task.wait(),
        };
        match finished {
            Ok(finished) => Ok(finished.answer.file.and_then(|file| {
                let Attributes { device: (major, minor), inode, .. } = statx(&file, OsStr::new("")).ok()?;
                Some((major, minor, inode))
            })),
            Err(e) if e.raw_os_error() == Some(libc::EACCES) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn open(entry: &Entry) -> io::Result<Answer> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let file = openat(entry.dir(), &entry.name, flags, Mode::empty())?;
    Ok(Answer { file: Some(file), ..Answer::default() })
}

/// Whether a path names a directory. True as well where a user's permissions do not allow a look (`EACCES`).
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    Look::begin(path).wait().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_known_by_any_name() {
        let place = tempfile::tempdir().unwrap();
        let name = |name: &str| place.path().join(name);
        std::fs::create_dir(name("a")).unwrap();
        std::fs::write(name("file"), "").unwrap();
        for (link, target) in [("root", "/"), ("to_a", "a"), ("to_file", "file"), ("round", "round")] {
            std::os::unix::fs::symlink(target, name(link)).unwrap();
        }
        for directory in ["", "a", "a/", "a/..", ".", "root", "to_a", "root/usr", "to_a/../a"] {
            assert!(is_directory(&name(directory)), "{directory:?}");
        }
        for other in ["file", "to_file", "none", "a/none", "file/..", "round"] {
            assert!(!is_directory(&name(other)), "{other:?}");
        }
        assert!(is_directory(Path::new("/")) && is_directory(Path::new("/..")));
    }
}
