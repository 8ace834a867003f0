//! The memory of a form while a request runs: its body and its fields.

use super::body::copy_from;
use super::multipart_state::Parts;
use crate::form::urlencoded::{Fields, Limits};

/// PHP keeps a body that is smaller in its memory (`SAPI_POST_BLOCK_SIZE`).
pub(super) const LEAST: usize = 0x4000;
/// The largest form that is read here. PHP takes a larger one apart piece by piece.
pub(super) const MOST: usize = 1 << 20;
/// How much memory of a form is kept for the next one.
const KEPT: usize = 128 << 10;

/// The form of the current request.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// Has the body in front. What follows it is of earlier ones.
    memory: Vec<u8>,
    length: usize,
    /// php://input reads the body from here, from this position on.
    pub(super) position: Option<u64>,
    fields: Fields,
    /// A multipart form that is read.
    pub(super) parts: Option<Box<Parts>>,
    /// What our reader has read of the body beyond the place where PHP's would have stopped, and the number of that place.
    ahead: (u64, Vec<u8>),
}

impl Form {
    /// The body.
    pub(super) fn body(&self) -> &[u8] {
        self.memory.get(..self.length).unwrap_or_default()
    }

    /// Sets the body to what `read` puts into memory of that size. `read` returns the length.
    pub(super) fn fill(&mut self, size: usize, read: impl FnOnce(&mut [u8]) -> usize) -> usize {
        if self.memory.len() < size {
            self.memory.resize(size, 0);
        }
        self.length = read(self.memory.get_mut(..size).unwrap_or_default());
        self.length
    }

    /// Takes the body apart; the number of its fields. `None`: it exceeds a limit.
    pub(super) fn take_apart(&mut self, limits: Limits) -> Option<usize> {
        let body = self.memory.get(..self.length).unwrap_or_default();
        self.fields.read(body, limits).then(|| self.fields.count())
    }

    /// The `at`th field: its name, with a NUL at its end, and its value.
    pub(super) fn field(&self, at: usize) -> Option<(&[u8], &[u8])> {
        self.fields.get(at, self.body())
    }

    /// Gives the memory to a multipart form.
    pub(super) fn take_memory(&mut self) -> Vec<u8> {
        self.length = 0;
        std::mem::take(&mut self.memory)
    }

    /// Ends a multipart form.
    pub(super) fn end_parts(&mut self) {
        let Some(parts) = self.parts.take() else { return };
        let (at, bytes) = parts.ahead();
        if !bytes.is_empty() {
            self.ahead = (at, bytes.to_vec());
        }
        self.memory = parts.into_memory();
    }

    /// Copies bytes of the body that were read already, from the `at`th on, to the buffer. Returns their number.
    pub(super) fn copy_ahead(&self, buffer: &mut [u8], at: u64) -> usize {
        let (first, bytes) = &self.ahead;
        at.checked_sub(*first).map_or(0, |from| copy_from(bytes, from, buffer))
    }

    /// Ends the request.
    pub(super) fn leave(&mut self) {
        self.end_parts();
        (self.length, self.position) = (0, None);
        self.ahead = (0, Vec::new());
        if self.memory.len() > KEPT {
            self.memory = Vec::new();
        }
        self.fields.shrink(KEPT);
    }
}
