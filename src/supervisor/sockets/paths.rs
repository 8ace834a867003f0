//! Paths of unix sockets.

use std::os::fd::OwnedFd;
use std::path::Path;

use crate::log::{self, messages::sockets as messages};
use crate::sys::failure::reason;
use crate::sys::socket_file::{self, Placing, Removal};

/// Whether an address is the path of a unix socket.
pub(super) fn is_path(name: &str) -> bool {
    name.starts_with('/')
}

/// Begins to remove the path of a unix socket, if that is bound to this one. `None`: it has no path.
pub(super) fn unlink(name: &str, fd: &OwnedFd) -> Option<Removal> {
    is_path(name).then(|| socket_file::remove(Path::new(name), fd))
}

/// Waits until it is removed, and logs what went wrong.
pub(super) fn finish_unlink(name: &str, removal: Removal) {
    match removal.wait() {
        Ok(true) => {}
        Ok(false) => log::say(&messages::socket_file_replaced(name)),
        Err(e) => log::say(&messages::socket_not_removed(name, reason(&e))),
    }
}

/// Waits until the file of a socket has its place, and logs what went wrong. Where everybody can create files, only the owner of the
/// former socket's file can replace it: that is removed first.
pub(super) fn finish_placing(
    name: &str,
    file: &Path,
    (socket, former): (&OwnedFd, Option<&OwnedFd>),
    placing: Placing,
) {
    let placed = placing.wait().or_else(|e| match former.and_then(|former| unlink(name, former)) {
        Some(removal) => {
            finish_unlink(name, removal);
            socket_file::place(file, Path::new(name), socket).wait()
        }
        None => Err(e),
    });
    if let Err(e) = placed {
        log::say(&messages::address_not_taken(name, reason(&e)));
    }
}
