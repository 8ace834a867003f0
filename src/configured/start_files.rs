//! Files that PHP reads when it starts. php-fpm reads them as root; here the pools' user must be able to read them.
#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::engine::StartFile;
use crate::log::{self, Level, Message, messages::php as messages};

/// The files that exist and that the user of this process cannot read.
pub(crate) fn unreadable(files: &[StartFile]) -> impl Iterator<Item = &StartFile> {
    files.iter().filter(|file| {
        let wanted = if file.path.is_dir() { AccessFlags::R_OK | AccessFlags::X_OK } else { AccessFlags::R_OK };
        matches!(access(&file.path, wanted), Err(e) if e != Errno::ENOENT)
    })
}

/// The line about a file that this user cannot read: an error if PHP cannot serve without it.
#[must_use]
pub(crate) fn message(file: &StartFile, user: &str) -> Message {
    let StartFile { setting, path, needed } = file;
    if *needed {
        messages::start_file_unreadable(setting, path.display(), user)
    } else {
        messages::extension_file_unreadable(setting, path.display(), user)
    }
}

/// A file that PHP cannot serve without cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub Message);

/// Checks that a user can read the files, as a process of that user. Logs those that only an extension may miss.
///
/// # Errors
/// The first file that PHP cannot serve without.
pub(crate) fn require_readable(files: &[StartFile], user: &str) -> Result<(), Unreadable> {
    let mut needed = None;
    for file in unreadable(files) {
        let message = message(file, user);
        if file.needed && needed.is_none() {
            needed = Some(message);
        } else {
            log::say(&message.at(Level::Warning));
        }
    }
    needed.map_or(Ok(()), |message| Err(Unreadable(message)))
}
