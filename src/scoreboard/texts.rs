//! The wide part of a slot: method, URI, query, user and script of a request, cut to fixed widths. A sequence number
//! is odd while the texts are written, so that a reader notices that its copy may mix two requests.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::request::Description;
use crate::sys::shared::Words;

/// php-fpm's widths, in bytes.
const WIDTHS: [usize; 5] = [16, 128, 512, 32, 256];
const BYTES: usize = 8;
/// The sequence number, the lengths, the texts; filled up to whole cache lines.
pub(super) const WORDS: usize = 128;
const LENGTHS: usize = 1;
const FIRST: usize = LENGTHS + WIDTHS.len();

/// A slot's texts.
pub(super) struct Place<'a> {
    words: &'a Words,
    base: usize,
}

impl<'a> Place<'a> {
    pub(super) fn new(words: &'a Words, base: usize) -> Self {
        Self { words, base }
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        self.words.word(self.base + index)
    }

    /// There must be one writer at a time.
    pub(super) fn write(&self, request: &Description<'_>) {
        let odd = self.word(0).load(Ordering::Relaxed).wrapping_add(1) | 1;
        self.word(0).store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
        let mut at = FIRST;
        for (index, text) in request.texts().into_iter().enumerate() {
            let text = &text[..text.len().min(WIDTHS[index])];
            self.word(LENGTHS + index).store(text.len() as u64, Ordering::Relaxed);
            for (word, chunk) in text.chunks(BYTES).enumerate() {
                let mut bytes = [0; BYTES];
                bytes[..chunk.len()].copy_from_slice(chunk);
                self.word(at + word).store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
            }
            at += WIDTHS[index] / BYTES;
        }
        self.word(0).store(odd.wrapping_add(1), Ordering::Release);
    }

    pub(super) fn clear(&self) {
        (0..WIDTHS.len()).for_each(|index| self.word(LENGTHS + index).store(0, Ordering::Relaxed));
    }

    /// Method, URI, query, user, script. If they change during several attempts to read them, the last copy is
    /// returned: the texts are only shown.
    pub(super) fn read(&self) -> [Vec<u8>; 5] {
        const ATTEMPTS: usize = 8;
        for _ in 1..ATTEMPTS {
            let before = self.word(0).load(Ordering::Acquire);
            let texts = self.copy();
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.word(0).load(Ordering::Relaxed) == before {
                return texts;
            }
            std::hint::spin_loop();
        }
        self.copy()
    }

    fn copy(&self) -> [Vec<u8>; 5] {
        let mut at = FIRST;
        std::array::from_fn(|index| {
            let length = usize::try_from(self.word(LENGTHS + index).load(Ordering::Relaxed)).unwrap_or(0);
            let length = length.min(WIDTHS[index]);
            let words = (0..length.div_ceil(BYTES)).map(|word| self.word(at + word).load(Ordering::Relaxed));
            let mut bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
            bytes.truncate(length);
            at += WIDTHS[index] / BYTES;
            bytes
        })
    }
}
