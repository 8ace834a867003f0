//! Files that PHP reads at its start, as root in php-fpm: can the pools' user?
#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::engine::StartFile;
use crate::log;

/// Those that the user that this process is can't read.
pub fn unreadable(files: &[StartFile]) -> impl Iterator<Item = &StartFile> {
    files.iter().filter(|file| {
        let wanted = if file.path.is_dir() { AccessFlags::R_OK | AccessFlags::X_OK } else { AccessFlags::R_OK };
        matches!(access(&file.path, wanted), Err(e) if e != Errno::ENOENT)
    })
}

/// What is wrong and what to do.
#[must_use]
pub fn complaint(file: &StartFile, user: &str) -> String {
    let StartFile { setting, path, needed } = file;
    let path = path.display();
    let why = if *needed {
        "PHP is started as that user"
    } else {
        "an extension that reads it when PHP starts does so as that user, not as root as under php-fpm"
    };
    format!(
        "php.ini: {setting} = {path}: user {user} can't read this, and {why}: use chmod, chgrp or setfacl on it or its directories"
    )
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
            needed = Some(complaint);
        } else {
            log::warning(complaint);
        }
    }
    needed.map_or(Ok(()), Err)
}
