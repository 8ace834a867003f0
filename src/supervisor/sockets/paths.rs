//! Paths of unix sockets.

use std::os::fd::OwnedFd;
use std::path::Path;

use crate::log::{self, messages::sockets as messages};
use crate::sys::failure::reason;
use crate::sys::socket_file::{self, Removal};

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
