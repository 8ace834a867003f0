//! A scoreboard as the monitor reads it, which cannot write it: only the numbers, not the texts of requests.

use std::io;
use std::os::fd::BorrowedFd;

use super::slots::{Word, dense_words_for, place};
use crate::request::Stage;
use crate::sys::shared::ReadOnlyWords;

/// A scoreboard, read-only.
#[derive(Debug)]
pub(crate) struct BoardView {
    words: ReadOnlyWords,
    slots: u32,
}

/// How many workers are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// They are being set up.
    pub(crate) starting: u64,
    /// They wait for a request.
    pub(crate) idle: u64,
    /// They are inside a request.
    pub(crate) busy: u64,
}

impl BoardView {
    /// Maps the memory.
    ///
    /// # Errors
    /// The file isn't a sealed scoreboard of that many slots.
    pub(crate) fn map(fd: BorrowedFd<'_>, slots: u32) -> io::Result<Self> {
        Ok(Self { words: ReadOnlyWords::map(fd, dense_words_for(slots))?, slots })
    }

    /// Counts the workers.
    #[must_use]
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for slot in 0..self.slots {
            let read = |word| self.words.read(place(slot, word));
            if read(Word::Pid) == 0 {
                continue;
            }
            match read(Word::Stage) {
                stage if stage == Stage::Creating as u64 => counts.starting += 1,
                stage if stage == Stage::Idle as u64 => counts.idle += 1,
                _ => counts.busy += 1,
            }
        }
        counts
    }
}
