//! The wide part of a slot: method, URI, query, user and script of a request, cut to fixed widths.

use super::section::{BYTES, Readable, Section};
use crate::request::Description;
use crate::sys::shared::Words;

/// php-fpm's widths, in bytes.
const WIDTHS: [usize; 5] = [16, 128, 512, 32, 256];
/// The sequence number, the lengths, the texts; filled up to whole cache lines.
pub(super) const WORDS: usize = 128;
const LENGTHS: usize = 1;
const FIRST: usize = LENGTHS + WIDTHS.len();

/// A slot's texts.
pub(super) struct Place<'a, W = Words>(Section<'a, W>);

impl Place<'_> {
    /// There must be one writer at a time.
    pub(super) fn write(&self, request: &Description<'_>) {
        self.0.write(|| {
            let mut at = FIRST;
            for (index, text) in request.texts().into_iter().enumerate() {
                let text = &text[..text.len().min(WIDTHS[index])];
                self.0.set(LENGTHS + index, text.len() as u64);
                self.0.set_bytes(at, text);
                at += WIDTHS[index] / BYTES;
            }
        });
    }

    pub(super) fn clear(&self) {
        (0..WIDTHS.len()).for_each(|index| self.0.set(LENGTHS + index, 0));
    }
}

impl<'a, W: Readable> Place<'a, W> {
    pub(super) fn new(words: &'a W, base: usize) -> Self {
        Self(Section::new(words, base))
    }

    /// Method, URI, query, user, script. `None`: they change at this moment.
    pub(super) fn read_whole(&self) -> Option<[Vec<u8>; 5]> {
        self.0.read(|| self.copy())
    }

    /// Method, URI, query, user, script. If they change during several attempts to read them, the last copy is
    /// returned: the texts are only shown.
    pub(super) fn read(&self) -> [Vec<u8>; 5] {
        self.read_whole().unwrap_or_else(|| self.copy())
    }

    fn copy(&self) -> [Vec<u8>; 5] {
        let mut at = FIRST;
        std::array::from_fn(|index| {
            let length = usize::try_from(self.0.get(LENGTHS + index)).unwrap_or(0);
            let length = length.min(WIDTHS[index]);
            let words = (0..length.div_ceil(BYTES)).map(|word| self.0.get(at + word));
            let mut bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
            bytes.truncate(length);
            at += WIDTHS[index] / BYTES;
            bytes
        })
    }
}
