//! The kernel's list of mounts, `/proc/self/mountinfo` (proc(5)). It has hundreds of lines on some machines, and is looked into for
//! each socket and log. So the supervisor keeps it, and reads it again when the kernel says that it has changed (poll(2)).
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sys::proc_file;

const PATH: &str = "/proc/self/mountinfo";

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Kept::Not) };
}

/// The list of this process.
#[derive(Debug)]
enum Kept {
    /// It is read each time.
    Not,
    /// It is to be kept, and was not read so far.
    Unread,
    /// As it was when the file was last polled.
    List { process: u32, file: File, text: String },
}

/// Keeps the list from now on, with a descriptor. Not in children: they read it each time.
pub fn keep() {
    KEPT.set(Kept::Unread);
}

/// Whether the list can be read.
#[must_use]
pub fn is_known() -> bool {
    Path::new(PATH).exists()
}

/// Looks into the list.
///
/// # Errors
/// It cannot be read.
pub(super) fn look<T>(look: impl FnOnce(&str) -> T) -> io::Result<T> {
    KEPT.with_borrow_mut(|kept| {
        kept.leave_to_parent();
        match kept {
            Kept::Not => proc_file::read(PATH).map(|bytes| look(&text_of(&bytes))),
            Kept::Unread | Kept::List { .. } => kept.update().map(look),
        }
    })
}

impl Kept {
    /// In a child. What its parent keeps stays the parent's: a poll in the child would take a change from it. The descriptor's number
    /// may mean another file by now, so it is not closed.
    fn leave_to_parent(&mut self) {
        if matches!(self, Self::List { process, .. } if *process != std::process::id()) {
            std::mem::forget(std::mem::replace(self, Self::Not));
        }
    }

    /// The list as it is now.
    fn update(&mut self) -> io::Result<&str> {
        if !matches!(self, Self::List { file, .. } if !has_changed(file)) {
            // It is polled, or opened, before it is read: a change after that shows at the next poll.
            let mut file = match std::mem::replace(self, Self::Unread) {
                Self::List { file, .. } => file,
                Self::Not | Self::Unread => File::open(PATH)?,
            };
            file.rewind()?;
            let text = text_of(&proc_file::content(&file)?);
            *self = Self::List { process: std::process::id(), file, text };
        }
        match self {
            Self::List { text, .. } => Ok(text),
            Self::Not | Self::Unread => Ok(""),
        }
    }
}

/// Whether mounts have changed since the file was opened, or since the last call (`POLLERR`, `POLLPRI`).
fn has_changed(file: &File) -> bool {
    let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
    !matches!(poll(&mut polled, PollTimeout::ZERO), Ok(0))
}

/// The kernel writes names as they are, and a user who mounts something chooses one: it need not be UTF-8.
pub(super) fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_kept_is_that_of_the_kernel() {
        let fresh = text_of(&proc_file::read(PATH).unwrap());
        let kept = |look: &dyn Fn(&str)| super::look(|list| look(list)).unwrap();
        kept(&|list| assert_eq!(list, fresh));
        keep();
        for _ in 0..2 {
            kept(&|list| assert_eq!(list, fresh));
        }
        assert!(KEPT.with_borrow(|kept| matches!(kept, Kept::List { .. })));
    }
}
