//! The ids of a slot's request, in a part of the memory after all others. A supervisor or worker of a version without it maps the
//! memory without this part.

use super::section::{BYTES, Readable, Section};
use crate::request_ids::{LONGEST, RequestId, RequestIds, TraceContext};
use crate::sys::shared::Words;

const LENGTH: usize = 1;
/// Upper and lower half of the trace's id, then the span's id; zeros: no trace.
const TRACE: usize = 2;
const SPAN: usize = 4;
const TEXT: usize = 5;
/// Filled up to whole cache lines.
pub(super) const WORDS: usize = 24;

const _: () = assert!(TEXT + LONGEST.div_ceil(BYTES) <= WORDS);

/// A slot's ids.
pub(super) struct Place<'a, W = Words>(Section<'a, W>);

impl Place<'_> {
    /// There must be one writer at a time.
    pub(super) fn write(&self, ids: &RequestIds) {
        let section = &self.0;
        section.write(|| {
            let text = ids.request.as_bytes();
            section.set(LENGTH, text.len() as u64);
            section.set_bytes(TEXT, text);
            let (trace, span) = ids.trace.map_or((0, 0), |context| context.numbers());
            let half = |shift: u32| u64::try_from(trace >> shift & u128::from(u64::MAX)).unwrap_or_default();
            section.set(TRACE, half(64));
            section.set(TRACE + 1, half(0));
            section.set(SPAN, span);
        });
    }

    pub(super) fn clear(&self) {
        self.0.set(LENGTH, 0);
    }
}

impl<'a, W: Readable> Place<'a, W> {
    pub(super) fn new(words: &'a W, base: usize) -> Self {
        Self(Section::new(words, base))
    }

    /// The ids. `None`: there are none, they change at this moment, or what is there is not what a worker writes.
    pub(super) fn read(&self) -> Option<RequestIds> {
        self.0.read(|| self.copy()).flatten()
    }

    fn copy(&self) -> Option<RequestIds> {
        let get = |index| self.0.get(index);
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
