//! The first bytes of what a pipe brings; the rest is read and counted, so that its writer is not held up while others start.

use std::io;
use std::os::fd::AsFd;

/// Most bytes that are kept of one pipe.
pub(in crate::supervisor) const MOST: usize = 64 * 1024;

/// Most that is read at once, and how often, before others get their turn. Together as much as a pipe holds.
pub(super) const TURN: usize = 16 * 1024;
pub(super) const TURNS: usize = 4;

/// What has been read so far.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Kept {
    /// The beginning.
    pub bytes: Vec<u8>,
    /// How many bytes came after it.
    pub more: u64,
}

impl Kept {
    /// Adds what has been read.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let free = MOST.saturating_sub(self.bytes.len()).min(bytes.len());
        let (kept, rest) = bytes.split_at(free);
        self.bytes.extend_from_slice(kept);
        self.more += rest.len() as u64;
    }

    /// How many bytes have come.
    pub(super) fn count(&self) -> u64 {
        self.bytes.len() as u64 + self.more
    }

    /// Reads what a non-blocking pipe holds. Whether its writers have closed it.
    pub(in crate::supervisor) fn read(&mut self, pipe: impl AsFd) -> bool {
        let mut buffer = [0; TURN];
        for _ in 0..TURNS {
            match look(&pipe, &mut buffer) {
                Look::Bytes(bytes) => self.take(bytes),
                Look::Nothing => return false,
                Look::Closed => return true,
            }
        }
        false
    }
}

/// What a look at a pipe has brought.
#[derive(Debug)]
pub(super) enum Look<'a> {
    Bytes(&'a [u8]),
    /// Nothing at present.
    Nothing,
    /// No process can write to it any more.
    Closed,
}

/// Reads once from a non-blocking pipe.
pub(super) fn look(pipe: impl AsFd, buffer: &mut [u8]) -> Look<'_> {
    match nix::unistd::read(pipe, buffer).map_err(io::Error::from) {
        Ok(0) => Look::Closed,
        Ok(count) => Look::Bytes(buffer.get(..count).unwrap_or_default()),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Look::Nothing,
        Err(_) => Look::Closed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use nix::fcntl::OFlag;

    use super::*;

    #[test]
    fn the_beginning_is_kept_and_the_rest_counted() {
        let mut kept = Kept::default();
        kept.take(&vec![b'a'; MOST - 1]);
        kept.take(b"bcd");
        assert_eq!((kept.bytes.len(), kept.bytes.last(), kept.more), (MOST, Some(&b'b'), 2));
        kept.take(b"e");
        assert_eq!((kept.bytes.len(), kept.more), (MOST, 3));
    }

    #[test]
    fn a_full_pipe_is_empty_after_one_look() {
        let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("pipe");
        let mut write = File::from(write);
        let mut written = 0;
        while let Ok(count) = write.write(&[b'x'; 1000]) {
            written += count;
        }
        let mut kept = Kept::default();
        assert!(!kept.read(&read));
        assert_eq!(kept.bytes.len(), written);
        drop(write);
        assert!(kept.read(&read));
    }
}
