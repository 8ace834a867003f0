//! Descriptors that a process is given by number: through an exec, from systemd, or from the program before a reload.
//!
//! An [`OwnedFd`] may be made of a number only if the number is open and nothing else owns it. The numbers come as text (arguments,
//! environment, the state of a reload) and prove neither. So this module keeps the set of numbers that were open when the program
//! started and that no value owns yet: [`adopt`] takes a number out of that set, and refuses all others. That makes it safe.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use parking_lot::Mutex;

use super::fd::{self, set_cloexec};

/// Numbers that are open and that no value owns. The standard streams are not among them: nothing ever owns these.
static UNOWNED: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Notes the descriptors that are open now.
///
/// # Safety
/// No value in this process owns an open descriptor, except for the standard streams.
pub(super) unsafe fn note() {
    *UNOWNED.lock() =
        fd::open_numbers().into_iter().filter(|raw| *raw > libc::STDERR_FILENO && is_open(*raw)).collect();
}

/// Takes over a descriptor that this process was given by number. It becomes close-on-exec (`FD_CLOEXEC`).
///
/// # Errors
/// `EBADF`: this process was given none of that number, or it was taken over before.
pub fn adopt(raw: RawFd) -> io::Result<OwnedFd> {
    if !UNOWNED.lock().remove(&raw) || !is_open(raw) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the number is open, and it was in the set of those that no value owns. It is in it no longer.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    set_cloexec(&fd, true)?;
    Ok(fd)
}

/// Leaves a descriptor open without an owner, so that it can be adopted again.
pub fn disown(fd: impl Into<OwnedFd>) -> RawFd {
    let raw = fd.into().into_raw_fd();
    UNOWNED.lock().insert(raw);
    raw
}

fn is_open(raw: RawFd) -> bool {
    // SAFETY: F_GETFD looks the number up. It changes nothing and touches no memory.
    raw >= 0 && unsafe { libc::fcntl(raw, libc::F_GETFD) } >= 0
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_descriptor_is_adopted_once_and_only_if_nothing_owns_it() {
        let owned = File::open("/dev/null").unwrap();
        assert_eq!(adopt(owned.as_raw_fd()).unwrap_err().raw_os_error(), Some(libc::EBADF), "the file owns it");
        let raw = disown(owned);
        let adopted = adopt(raw).unwrap();
        assert_eq!(adopted.as_raw_fd(), raw);
        assert!(adopt(raw).is_err(), "the first one owns it");
        for never in [-1, 0, 2, RawFd::MAX] {
            assert!(adopt(never).is_err(), "{never}");
        }
    }
}
