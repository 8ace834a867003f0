//! The answer to a request: STDOUT and STDERR records in one buffer, and END_REQUEST after them.

use super::record::{HEADER_LEN, Header, MAX_ALIGNED_CONTENT, RecordType};

/// Bytes of END_REQUEST with its header.
pub const END_LEN: usize = 16;

/// Buffered bytes before they are sent: one full record.
const CAPACITY: usize = HEADER_LEN + MAX_ALIGNED_CONTENT as usize;

/// The protocol status in END_REQUEST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the specification")]
pub enum ProtocolStatus {
    RequestComplete = 0,
    CantMultiplex = 1,
    UnknownRole = 3,
}

/// END_REQUEST as a record; PHP's application status is always 0.
#[must_use]
pub fn end_request(id: u16, status: ProtocolStatus) -> [u8; END_LEN] {
    let mut record = [0; END_LEN];
    record[..HEADER_LEN].copy_from_slice(&Header { kind: RecordType::EndRequest, id, content: 8, padding: 0 }.encode());
    record[HEADER_LEN + 4] = status as u8;
    record
}

/// The output buffer. Bytes go into one open record, whose header is completed when it is sent or when another stream
/// writes.
#[derive(Debug)]
pub struct Reply {
    bytes: Vec<u8>,
    id: u16,
    /// Where the open record's header is, and its stream.
    open: Option<(usize, RecordType)>,
}

impl Default for Reply {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(CAPACITY + END_LEN), id: 0, open: None }
    }
}

impl Reply {
    /// Empties the buffer for the answer to a request.
    pub fn begin(&mut self, id: u16) {
        self.clear();
        self.id = id;
    }

    /// Drops what is buffered: it was sent, or the client has gone.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.open = None;
    }

    /// Bytes of that stream that still fit.
    #[must_use]
    pub fn room(&self, stream: RecordType) -> usize {
        let (padding, header) = match self.open {
            Some((_, open)) if open == stream => (0, 0),
            Some(_) => (7, HEADER_LEN),
            None => (0, HEADER_LEN),
        };
        CAPACITY.saturating_sub(self.bytes.len() + padding + header)
    }

    /// Appends as much of `bytes` as fits; returns how much.
    pub fn push(&mut self, stream: RecordType, bytes: &[u8]) -> usize {
        let fits = self.room(stream).min(bytes.len());
        if fits == 0 {
            return 0;
        }
        if self.open.is_none_or(|(_, open)| open != stream) {
            self.close_record();
            self.open = Some((self.bytes.len(), stream));
            self.bytes.extend_from_slice(&[0; HEADER_LEN]);
        }
        self.bytes.extend_from_slice(&bytes[..fits]);
        fits
    }

    /// Completes the open record: writes its length and padding.
    pub fn close_record(&mut self) {
        let Some((at, stream)) = self.open.take() else { return };
        let content = self.bytes.len() - at - HEADER_LEN;
        let header = self.header(stream, u16::try_from(content).unwrap_or(MAX_ALIGNED_CONTENT));
        self.bytes[at..at + HEADER_LEN].copy_from_slice(&header.encode());
        self.bytes.extend_from_slice(&[0; 7][..usize::from(header.padding)]);
    }

    /// Completes the answer. As in php-fpm no empty STDOUT record stands before END_REQUEST.
    pub fn end(&mut self) {
        self.close_record();
        self.bytes.extend_from_slice(&end_request(self.id, ProtocolStatus::RequestComplete));
    }

    /// Complete records that wait to be sent (after `close_record` or `end`).
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.bytes
    }

    /// The header of a record of this answer.
    #[must_use]
    pub fn header(&self, stream: RecordType, content: u16) -> Header {
        Header::padded(stream, self.id, content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Reply {
        let mut reply = Reply::default();
        reply.begin(1);
        reply
    }

    #[test]
    fn a_small_answer_as_php_writes_it() {
        let mut reply = reply();
        reply.push(RecordType::Stdout, b"Status: 404 Not Found\r\n\r\n");
        reply.push(RecordType::Stdout, b"no");
        reply.end();
        let mut expected = b"\x01\x06\0\x01\0\x1b\x05\0Status: 404 Not Found\r\n\r\nno\0\0\0\0\0".to_vec();
        expected.extend_from_slice(b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(reply.pending(), expected);
    }

    #[test]
    fn streams_keep_their_order() {
        let mut reply = reply();
        for (stream, text) in
            [(RecordType::Stdout, b"12345678"), (RecordType::Stderr, b"abcdefgh"), (RecordType::Stdout, b"ABCDEFGH")]
        {
            reply.push(stream, text);
        }
        reply.close_record();
        assert_eq!(
            reply.pending(),
            b"\x01\x06\0\x01\0\x08\0\x0012345678\x01\x07\0\x01\0\x08\0\0abcdefgh\x01\x06\0\x01\0\x08\0\0ABCDEFGH"
        );
    }

    #[test]
    fn an_empty_answer_is_end_request_alone() {
        let mut reply = reply();
        reply.end();
        assert_eq!(reply.pending(), end_request(1, ProtocolStatus::RequestComplete));
    }

    #[test]
    fn the_buffer_never_grows() {
        let mut reply = reply();
        let before = reply.bytes.capacity();
        let text = [b'x'; 999];
        for stream in [RecordType::Stdout, RecordType::Stderr].into_iter().cycle().take(100) {
            reply.push(stream, &text);
        }
        assert_eq!(reply.push(RecordType::Stdout, &text), 0);
        reply.end();
        assert_eq!(reply.bytes.capacity(), before);
        reply.begin(1);
        assert_eq!(reply.push(RecordType::Stdout, &[b'x'; 70_000]), 0xfff8);
        reply.end();
        assert_eq!(reply.bytes.capacity(), before);
    }
}
