//! Taking turns: tests that measure time or put load on the machine have it to themselves, also between processes.

use std::fs::File;

use crate::Outcome;

/// Held while a test runs.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

/// A turn beside others that don't measure.
///
/// # Errors
/// When the lock file can't be opened.
pub fn shared() -> Outcome<Turn> {
    let lock = open()?;
    lock.lock_shared()?;
    Ok(Turn { _lock: lock })
}

/// A turn alone.
///
/// # Errors
/// When the lock file can't be opened.
pub fn alone() -> Outcome<Turn> {
    let lock = open()?;
    lock.lock()?;
    Ok(Turn { _lock: lock })
}

fn open() -> Outcome<File> {
    let path = std::env::temp_dir().join(format!("cgi-fpm-tests.{}.lock", nix::unistd::getuid()));
    Ok(File::options().create(true).truncate(false).write(true).open(path)?)
}
