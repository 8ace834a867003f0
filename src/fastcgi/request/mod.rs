//! Reads requests from a stream of bytes: a state machine that gets the received bytes and returns what they mean.

mod records;
mod refusal;
mod rest;

use super::input::Input;
use super::management::Capacity;
use super::params::Params;
use super::record::Header;

pub use refusal::{ParamsLimits, Refusal};

const FILTER: &[u8] = b"FILTER";

/// What the bytes so far mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet: receive more.
    More,
    /// The parameters of a request are complete.
    Request,
    /// Body bytes come next: take them from the buffer, or receive them.
    Body,
    /// The body is complete.
    End,
    /// The client no longer wants an answer.
    Abort,
    /// Send `answers`. If they are the last thing on this connection, close it then.
    Answer {
        /// Whether they are.
        last: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    Idle,
    Params,
    Body,
    /// All input of the request was read; what follows is another request.
    Over,
}

/// Where the content of the current record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Params,
    Body,
    Skipped,
}

/// The reader of one connection at a time.
#[derive(Debug)]
pub struct Reader {
    input: Input,
    phase: Phase,
    content: Content,
    /// Bytes of the current record's content that weren't consumed.
    left: usize,
    /// Bytes of padding after it.
    padding: usize,
    id: u16,
    keep: bool,
    /// Whether STDIN isn't the last stream of the request (FCGI_FILTER).
    more_streams: bool,
    answers: Vec<u8>,
    limits: ParamsLimits,
    capacity: Capacity,
}

impl Reader {
    /// A reader with its buffer.
    #[must_use]
    pub fn new(limits: ParamsLimits, capacity: Capacity) -> Self {
        Self {
            input: Input::new(limits.bytes, 0),
            phase: Phase::Idle,
            content: Content::Skipped,
            left: 0,
            padding: 0,
            id: 0,
            keep: false,
            more_streams: false,
            answers: Vec::new(),
            limits,
            capacity,
        }
    }

    /// Makes room for a parameter that `Params::set` sets in each request. The reader has received nothing yet.
    pub fn reserve(&mut self, room: usize) {
        self.input = Input::new(self.limits.bytes, room);
    }

    /// The parameters, to set one that the client has not sent. Only directly after `Step::Request`: the bytes of parameters
    /// do not change while a request is served.
    pub fn params_mut(&mut self) -> &mut Params {
        self.input.params_mut()
    }

    /// Drops everything: the next bytes come from another connection.
    pub fn reset(&mut self) {
        self.input.clear();
        (self.phase, self.left, self.padding, self.keep) = (Phase::Idle, 0, 0, false);
    }

    /// Ends the request: drops its parameters, and skips the rest of its body.
    pub fn next_request(&mut self) {
        (self.phase, self.content, self.keep) = (Phase::Idle, Content::Skipped, false);
        self.input.rewind();
    }

    /// The parameters, from `Step::Request` until `next_request` or `reset`.
    #[must_use]
    pub fn params(&self) -> &Params {
        self.input.params()
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Whether the client wants to keep the connection.
    #[must_use]
    pub fn keep(&self) -> bool {
        self.keep
    }

    /// Whether all input of the request was read.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.phase == Phase::Over && !self.more_streams
    }

    /// Whether STDIN has ended, by its empty record or by FCGI_ABORT_REQUEST.
    #[must_use]
    pub fn stdin_ended(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether the stream is between two records and no byte is buffered.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        self.left == 0 && self.padding == 0 && !self.has_bytes()
    }

    /// Whether received bytes wait in the buffer.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        !self.input.unread().is_empty()
    }

    /// Whether a request (or a management record) has begun to arrive and isn't complete.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.phase != Phase::Idle || self.has_bytes()
    }

    /// Replies to management records and to requests that aren't served, to be sent before the next `advance`.
    #[must_use]
    pub fn answers(&self) -> &[u8] {
        &self.answers
    }

    /// Room to receive into; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        self.input.room()
    }

    /// The whole buffer, if no request is on its way and no byte waits in it: it may be overwritten.
    pub fn unused(&mut self) -> Option<&mut [u8]> {
        if self.has_bytes() || !matches!(self.phase, Phase::Idle | Phase::Over) {
            return None;
        }
        self.next_request();
        Some(self.input.whole())
    }

    /// Notes that so many bytes were received into the room.
    pub fn filled(&mut self, count: usize) {
        self.input.filled(count);
    }

    /// Body bytes of the current record that weren't taken.
    #[must_use]
    pub fn body_left(&self) -> usize {
        if self.content == Content::Body { self.left } else { 0 }
    }

    /// Takes body bytes from the buffer; returns how many (0: receive more).
    pub fn take_body(&mut self, into: &mut [u8]) -> usize {
        let most = into.len().min(self.body_left());
        let count = self.input.take(&mut into[..most]);
        self.left -= count;
        count
    }

    /// Drops body bytes in the buffer; returns how many.
    pub fn drop_body(&mut self) -> usize {
        let count = self.body_left().min(self.input.unread().len());
        self.input.consume(count);
        self.left -= count;
        count
    }

    /// Notes that the next body bytes, at most `body_left` and with none buffered, were received elsewhere.
    pub fn body_received(&mut self, count: usize) {
        self.left -= count.min(self.body_left());
    }

    /// Reads on in the received bytes.
    ///
    /// # Errors
    /// The stream breaks the protocol or a limit. Close the connection.
    pub fn advance(&mut self) -> Result<Step, Refusal> {
        self.answers.clear();
        loop {
            if self.phase == Phase::Over {
                return Ok(Step::End);
            }
            if self.content == Content::Body && self.left > 0 {
                return Ok(Step::Body);
            }
            if !self.finish_record() {
                return Ok(Step::More);
            }
            let Some(header) = self.input.header() else { return Ok(Step::More) };
            let header = Header::decode(header).map_err(Refusal::Version)?;
            if let Some(step) = self.on_record(header)? {
                return Ok(step);
            }
        }
    }

    /// Consumes the rest of a record that isn't body; returns whether it was complete.
    fn finish_record(&mut self) -> bool {
        let count = self.left.min(self.input.unread().len());
        match self.content {
            Content::Params => self.input.append_params(count),
            Content::Body | Content::Skipped => self.input.consume(count),
        }
        self.left -= count;
        self.left == 0 && self.finish_padding()
    }

    fn finish_padding(&mut self) -> bool {
        let count = self.padding.min(self.input.unread().len());
        self.input.consume(count);
        self.padding -= count;
        self.padding == 0
    }
}
