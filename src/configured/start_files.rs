//! Files that PHP reads at its start, as root in php-fpm: can the pools' user?
#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::engine::StartFile;
use crate::log::{self, Message, messages::php as messages};

/// Those that the user that this process is can't read.
pub fn unreadable(files: &[StartFile]) -> impl Iterator<Item = &StartFile> {
    files.iter().filter(|file| {
        let wanted = if file.path.is_dir() { AccessFlags::R_OK | AccessFlags::X_OK } else { AccessFlags::R_OK };
        matches!(access(&file.path, wanted), Err(e) if e != Errno::ENOENT)
    })
}

/// What is wrong and what to do.
#[must_use]
pub fn complaint(file: &StartFile, user: &str) -> Message {
    let StartFile { setting, path, needed } = file;
    if *needed {
        messages::start_file_unreadable(setting, path.display(), user)
    } else {
        messages::extension_file_unreadable(setting, path.display(), user)
    }
}

/// Logs what may matter to an extension.
///
/// # Errors
/// What PHP can't serve without.
pub fn check(files: &[StartFile], user: &str) -> Result<(), String> {
    let mut needed = None;
    for file in unreadable(files) {
        let complaint = complaint(file, user);
        if file.needed && needed.is_none() {
            needed = Some(complaint.text().to_owned());
        } else {
            log::say(&complaint.at(log::Level::Warning));
        }
    }
    needed.map_or(Ok(()), Err)
}
