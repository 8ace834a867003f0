//! A part of a slot that its worker writes as a whole. A sequence number in its first word is odd while the worker writes, so that a
//! reader notices that its copy may mix two requests.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::sys::shared::{ReadOnlyWords, Words};

/// The bytes of a word.
pub(super) const BYTES: usize = 8;

/// Words that can be read; of some mappings they cannot be written.
pub(super) trait Readable {
    /// The word at `index`, by a relaxed load.
    fn at(&self, index: usize) -> u64;
}

impl Readable for Words {
    fn at(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Relaxed)
    }
}

impl Readable for ReadOnlyWords {
    fn at(&self, index: usize) -> u64 {
        self.read(index)
    }
}

/// A section of the memory. Its words are numbered from the sequence number, which is 0.
pub(super) struct Section<'a, W = Words> {
    words: &'a W,
    base: usize,
}

impl<'a, W: Readable> Section<'a, W> {
    pub(super) fn new(words: &'a W, base: usize) -> Self {
        Self { words, base }
    }

    pub(super) fn get(&self, index: usize) -> u64 {
        self.words.at(self.base + index)
    }

    /// What `copy` has read of the section at one time. `None`: it has changed during each of several attempts.
    pub(super) fn read<T>(&self, copy: impl Fn() -> T) -> Option<T> {
        const ATTEMPTS: usize = 8;
        for _ in 0..ATTEMPTS {
            let before = self.get(0);
            fence(Ordering::Acquire);
            let copied = copy();
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.get(0) == before {
                return Some(copied);
            }
            std::hint::spin_loop();
        }
        None
    }
}

impl Section<'_> {
    fn word(&self, index: usize) -> &AtomicU64 {
        self.words.word(self.base + index)
    }

    pub(super) fn set(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::Relaxed);
    }

    /// Fills words with bytes, and the last one with zeros.
    pub(super) fn set_bytes(&self, at: usize, bytes: &[u8]) {
        for (index, chunk) in bytes.chunks(BYTES).enumerate() {
            let mut word = [0; BYTES];
            word[..chunk.len()].copy_from_slice(chunk);
            self.set(at + index, u64::from_ne_bytes(word));
        }
    }

    /// Has `fill` write the section. There must be one writer at a time.
    pub(super) fn write(&self, fill: impl FnOnce()) {
        let odd = self.get(0).wrapping_add(1) | 1;
        self.set(0, odd);
        fence(Ordering::Release);
        fill();
        self.word(0).store(odd.wrapping_add(1), Ordering::Release);
    }
}
