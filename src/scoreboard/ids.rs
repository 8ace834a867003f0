//! The ids of a slot's request, in a part of the memory after all others. A supervisor or worker of a version without it maps the
//! memory without this part. A sequence number is odd while the ids are written.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::request_ids::{LONGEST, RequestId, RequestIds, TraceContext};
use crate::sys::shared::Words;

const BYTES: usize = 8;
const LENGTH: usize = 1;
/// Upper and lower half of the trace's id, then the span's id; zeros: no trace.
const TRACE: usize = 2;
const SPAN: usize = 4;
const TEXT: usize = 5;
/// Filled up to whole cache lines.
pub(super) const WORDS: usize = 24;

const _: () = assert!(TEXT + LONGEST.div_ceil(BYTES) <= WORDS);

/// A slot's ids.
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

    fn set(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::Relaxed);
    }

    /// There must be one writer at a time.
    pub(super) fn write(&self, ids: &RequestIds) {
        let odd = self.word(0).load(Ordering::Relaxed).wrapping_add(1) | 1;
        self.set(0, odd);
        fence(Ordering::Release);
        let text = ids.request.as_bytes();
        self.set(LENGTH, text.len() as u64);
        for (index, chunk) in text.chunks(BYTES).enumerate() {
            let mut bytes = [0; BYTES];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.set(TEXT + index, u64::from_ne_bytes(bytes));
        }
        let (trace, span) = ids.trace.map_or((0, 0), |context| context.numbers());
        let half = |shift: u32| u64::try_from(trace >> shift & u128::from(u64::MAX)).unwrap_or_default();
        self.set(TRACE, half(64));
        self.set(TRACE + 1, half(0));
        self.set(SPAN, span);
        self.word(0).store(odd.wrapping_add(1), Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.set(LENGTH, 0);
    }

    /// The ids. `None`: there are none, they change at this moment, or what is there is not what a worker writes.
    pub(super) fn read(&self) -> Option<RequestIds> {
        const ATTEMPTS: usize = 8;
        for _ in 0..ATTEMPTS {
            let before = self.word(0).load(Ordering::Acquire);
            let ids = self.copy();
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.word(0).load(Ordering::Relaxed) == before {
                return ids;
            }
            std::hint::spin_loop();
        }
        None
    }

    fn copy(&self) -> Option<RequestIds> {
        let get = |index| self.word(index).load(Ordering::Relaxed);
        let length = usize::try_from(get(LENGTH)).ok().filter(|length| *length <= LONGEST)?;
        let mut text = [0; LONGEST];
        for (index, chunk) in text.chunks_mut(BYTES).enumerate() {
            chunk.copy_from_slice(&get(TEXT + index).to_ne_bytes());
        }
        let request = RequestId::accept(text.get(..length)?)?;
        let trace = u128::from(get(TRACE)) << 64 | u128::from(get(TRACE + 1));
        Some(RequestIds { request, trace: TraceContext::of_numbers((trace, get(SPAN))) })
    }
}
