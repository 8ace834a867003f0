//! Keeps the first bytes that a pipe brings. The rest is read and counted, so that the writer never waits for a reader.

use crate::sys::peer_pipe::{self, PeerPipe, Read};

/// Most bytes of one pipe that are kept.
pub(super) const MOST: usize = 64 * 1024;

/// Most bytes of one read, and most reads before other sources get their turn. Together as much as a pipe holds.
pub(super) const TURN: usize = peer_pipe::MOST;
pub(super) const TURNS: usize = 4;

/// The bytes so far.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    /// The beginning.
    pub bytes: Vec<u8>,
    /// How many bytes came after it.
    pub more: u64,
}

impl Bounded {
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

    /// Reads what a pipe holds.
    pub(crate) fn read(&mut self, pipe: &PeerPipe) -> Seen {
        let mut buffer = [0; TURN];
        for _ in 0..TURNS {
            match look(pipe, &mut buffer) {
                Look::Bytes(bytes) => self.take(bytes),
                Look::Nothing => break,
                Look::Locked => return Seen { locked: true, ..Seen::default() },
                Look::Closed => return Seen { closed: true, ..Seen::default() },
            }
        }
        Seen::default()
    }
}

/// The state of a pipe after it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// All its writers have closed it.
    pub closed: bool,
    /// A process keeps it locked.
    pub locked: bool,
}

/// The result of one read from a pipe.
#[derive(Debug)]
pub(super) enum Look<'a> {
    Bytes(&'a [u8]),
    /// Nothing at present.
    Nothing,
    /// A process keeps the pipe locked.
    Locked,
    /// No process can write to it any more.
    Closed,
}

/// Reads once from a pipe.
pub(super) fn look<'a>(pipe: &PeerPipe, buffer: &'a mut [u8]) -> Look<'a> {
    match pipe.read(buffer) {
        Ok(Read::Bytes(count)) => Look::Bytes(buffer.get(..count).unwrap_or_default()),
        Ok(Read::Nothing) => Look::Nothing,
        Ok(Read::Locked) => Look::Locked,
        Ok(Read::Closed) | Err(_) => Look::Closed,
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
        let mut bounded = Bounded::default();
        bounded.take(&vec![b'a'; MOST - 1]);
        bounded.take(b"bcd");
        assert_eq!((bounded.bytes.len(), bounded.bytes.last(), bounded.more), (MOST, Some(&b'b'), 2));
        bounded.take(b"e");
        assert_eq!((bounded.bytes.len(), bounded.more), (MOST, 3));
    }

    #[test]
    fn a_full_pipe_is_empty_after_one_look() {
        let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK).expect("pipe");
        let mut write = File::from(write);
        let mut written = 0;
        while let Ok(count) = write.write(&[b'x'; 1000]) {
            written += count;
        }
        let (mut bounded, read) = (Bounded::default(), PeerPipe::new(read, "www"));
        assert_eq!(bounded.read(&read), Seen::default());
        assert_eq!(bounded.bytes.len(), written);
        drop(write);
        assert!(bounded.read(&read).closed);
    }
}
