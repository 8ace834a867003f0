//! The input buffer of a connection: first the parameters, then the bytes that wait to be read.

use std::ops::Range;

use super::params::{BadPairs, Params};
use super::record::HEADER_LEN;

/// The size of the buffer, which is enough for nearly every request.
const BASE: usize = 64 * 1024;

/// A buffer that an unusual request has made larger than this shrinks after the request.
const KEPT: usize = 4 * BASE;

/// Room after the parameters for the bytes that follow them.
const WINDOW: usize = 16 * 1024;

/// The least room to receive into.
const LEAST_ROOM: usize = 4 * 1024;

/// Room for `FCGI_ROLE\0AUTHORIZER\0`, a pair that isn't on the wire.
const ROLE_ROOM: usize = 24;

const ROLE: &[u8] = b"FCGI_ROLE";

/// The buffer. It doesn't move after `seal`: PHP keeps pointers to parameters until the next request is read.
#[derive(Debug)]
pub(super) struct Input {
    params: Params,
    /// Received and not yet consumed.
    unread: Range<usize>,
    /// Room for pairs that aren't on the wire.
    front: usize,
    /// Where the parameters' content begins.
    params_start: usize,
    /// Where it ends; nothing before this is overwritten.
    floor: usize,
    sealed: bool,
    /// The buffer never grows beyond this.
    most: usize,
}

impl Input {
    /// `room`: bytes for a parameter that `Params::set` sets, a few hundred at most.
    pub(super) fn new(params_limit: usize, room: usize) -> Self {
        let front = ROLE_ROOM + room;
        // Zeroed by the allocator: writing to it would use memory.
        Self {
            params: Params::in_buffer(vec![0; BASE], ROLE_ROOM..front),
            unread: front..front,
            front,
            params_start: front,
            floor: front,
            sealed: false,
            most: BASE.max(params_limit.saturating_add(front + 2 * WINDOW)),
        }
    }

    pub(super) fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    pub(super) fn unread(&self) -> &[u8] {
        self.params.bytes.get(self.unread.clone()).unwrap_or_default()
    }

    /// The next record's header, if all of it is here.
    pub(super) fn header(&self) -> Option<[u8; HEADER_LEN]> {
        self.unread().first_chunk().copied()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.unread.start = (self.unread.start + count).min(self.unread.end);
    }

    /// Moves unread bytes out; returns how many.
    pub(super) fn take(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.unread.len());
        into[..count].copy_from_slice(&self.unread()[..count]);
        self.consume(count);
        count
    }

    /// Room to receive into; never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.unread.is_empty() {
            self.unread = self.floor..self.floor;
        }
        if self.params.bytes.len() - self.unread.end < LEAST_ROOM {
            self.compact();
        }
        let length = self.params.bytes.len();
        if !self.sealed && length - self.unread.end < LEAST_ROOM {
            self.params.bytes.resize((length * 2).min(self.most).max(self.unread.end + LEAST_ROOM), 0);
        }
        &mut self.params.bytes[self.unread.end..]
    }

    /// All of it.
    pub(super) fn whole(&mut self) -> &mut [u8] {
        &mut self.params.bytes
    }

    /// Notes that `count` bytes were received into the room.
    pub(super) fn filled(&mut self, count: usize) {
        self.unread.end = (self.unread.end + count).min(self.params.bytes.len());
    }

    /// A new connection: nothing is unread.
    pub(super) fn clear(&mut self) {
        self.unread = self.front..self.front;
        self.rewind();
    }

    /// The request that the parameters belonged to is over: unread bytes move to the front.
    pub(super) fn rewind(&mut self) {
        self.forget_params();
        self.compact();
        if self.params.bytes.len() > KEPT && self.unread.end <= BASE {
            self.params.bytes.truncate(BASE);
            self.params.bytes.shrink_to(BASE);
        }
    }

    /// Drops the parameters, so that bytes may move again.
    pub(super) fn forget_params(&mut self) {
        self.params.clear();
        (self.params_start, self.floor, self.sealed) = (self.front, self.front, false);
    }

    /// Gives the request its role as a parameter.
    pub(super) fn set_role(&mut self, role: &[u8]) {
        let mut at = 0;
        for part in [ROLE, b"\0", role, b"\0"] {
            self.params.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.params.add_written(0, ROLE.len(), role.len());
    }

    /// Bytes of parameters so far.
    pub(super) fn params_len(&self) -> usize {
        self.floor - self.params_start
    }

    /// The parameters so far, before they are sealed.
    pub(super) fn params_content(&self) -> &[u8] {
        self.params.bytes.get(self.params_start..self.floor).unwrap_or_default()
    }

    /// The next `count` unread bytes are parameters. The first ones stay where they were received; later ones are
    /// moved to follow them.
    pub(super) fn append_params(&mut self, count: usize) {
        let from = self.unread.start;
        let count = count.min(self.unread.len());
        if self.params_len() == 0 {
            (self.params_start, self.floor) = (from, from);
        } else if from != self.floor {
            self.params.bytes.copy_within(from..from + count, self.floor);
        }
        self.floor += count;
        self.consume(count);
    }

    /// All parameters have arrived: decodes them. From now on they don't move.
    pub(super) fn seal(&mut self, most_pairs: usize) -> Result<(), BadPairs> {
        let needed = self.floor + WINDOW;
        if self.params.bytes.len() < needed {
            self.params.bytes.resize(needed, 0);
        }
        self.sealed = true;
        // The byte after the parameters belonged to the header of the empty record that ended them.
        self.floor += 1;
        self.params.decode(self.params_start..self.floor - 1, most_pairs)
    }

    fn compact(&mut self) {
        if self.unread.start > self.floor {
            self.params.bytes.copy_within(self.unread.clone(), self.floor);
            self.unread = self.floor..self.floor + self.unread.len();
        }
    }
}
