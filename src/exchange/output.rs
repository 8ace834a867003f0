//! The answer: buffered, sent in large pieces, finished once.

use std::io::IoSlice;
use std::time::Instant;

use super::connection::{ClientGone, Exchange};
use crate::fastcgi::record::{HEADER_LEN, MAX_ALIGNED_CONTENT, RecordType};
use crate::sys::clock;
use crate::sys::process;
use crate::sys::socket::{self, Received};

/// Pieces of at least this size are sent without a copy.
const LARGE: usize = 32 * 1024;

/// The least that is sent in one call while the script is slow: php-fpm sends whenever it has that much.
const PIECE: usize = 8 * 1024;

/// A script counts as slow if buffered bytes have waited so many microseconds.
const SLOW: u64 = 5_000;

/// The most records in one call.
const BATCH: usize = 8;

impl Exchange {
    /// Appends to the answer. Sends if the buffer is full, or if the script is slow and the buffer holds a piece.
    /// After the end of the answer, bytes are dropped.
    ///
    /// # Errors
    /// The client has gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ClientGone> {
        self.put(RecordType::Stdout, bytes)
    }

    /// Sends what is buffered.
    ///
    /// # Errors
    /// The client has gone.
    pub fn flush(&mut self) -> Result<(), ClientGone> {
        if self.finished {
            return Ok(());
        }
        self.check()?;
        self.reply.close_record();
        let sent = self.send_pending();
        self.sent = clock::micros();
        sent
    }

    /// A line for the web server's error log (FCGI_STDERR), in its place between the bytes of the answer.
    pub fn write_stderr(&mut self, bytes: &[u8]) {
        // The next write reports a client that has gone.
        let _ = self.put(RecordType::Stderr, bytes);
    }

    /// Finishes the answer: sends what is buffered and END_REQUEST in one write, and closes a connection that isn't
    /// kept. Later writes are dropped. Returns false if the answer was finished before. In a process that a script
    /// has forked, it only closes the descriptor: the answer belongs to the parent.
    pub fn finish(&mut self) -> bool {
        if self.finished {
            return false;
        }
        if process::was_forked_by_script() {
            self.reply.clear();
            self.finished = true;
            self.close();
            return true;
        }
        let ended = self.drop_body();
        if self.client.aborted {
            self.reply.begin(self.reader.id());
        }
        self.reply.end();
        let closes = ended && !self.reader.keep();
        let sent = if self.on_tcp && closes { self.send_end() } else { self.send_pending() }.is_ok();
        self.finished = true;
        if !sent {
            self.close();
        } else if !self.reader.keep() || self.client.cut {
            self.close_gently(ended);
        }
        true
    }

    /// Sends replies to management records at once, between two records of the answer. A client that sends such
    /// records and doesn't read the replies must not occupy the worker: `until` is the deadline for all of them, set
    /// by the first.
    pub(super) fn send_answers(&mut self, until: &mut Option<Instant>) -> Result<(), ClientGone> {
        let Some(connection) = &self.connection else { return Err(ClientGone) };
        let until = *until.get_or_insert_with(|| Instant::now() + self.limits.answers);
        let sent = socket::send_until(connection, self.reader.answers(), until);
        self.note(sent)
    }

    fn put(&mut self, stream: RecordType, bytes: &[u8]) -> Result<(), ClientGone> {
        if self.finished {
            return Ok(());
        }
        self.check()?;
        if bytes.len() > self.reply.room(stream) && bytes.len() >= LARGE {
            return self.send_large(stream, bytes);
        }
        let mut rest = bytes;
        loop {
            let before = self.reply.pending().len();
            let taken = self.reply.push(stream, rest);
            rest = rest.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                return if self.is_due(before) { self.flush() } else { Ok(()) };
            }
            self.flush()?;
        }
    }

    /// Whether the buffer, which held `before` bytes before, should be sent now. Reads the clock once for each piece.
    fn is_due(&self, before: usize) -> bool {
        self.reply.pending().len() / PIECE > before / PIECE && clock::micros().saturating_sub(self.sent) >= SLOW
    }

    /// Sends what is buffered, then `bytes` as records. Up to seven bytes stay in the buffer, so that no record needs
    /// padding.
    fn send_large(&mut self, stream: RecordType, bytes: &[u8]) -> Result<(), ClientGone> {
        let (aligned, tail) = bytes.split_at(bytes.len() & !7);
        self.reply.close_record();
        for batch in aligned.chunks(BATCH * usize::from(MAX_ALIGNED_CONTENT)) {
            self.send_batch(stream, batch)?;
        }
        self.reply.push(stream, tail);
        Ok(())
    }

    fn send_batch(&mut self, stream: RecordType, batch: &[u8]) -> Result<(), ClientGone> {
        let Some(connection) = &self.connection else { return Err(ClientGone) };
        let mut headers = [[0; HEADER_LEN]; BATCH];
        let chunks = batch.chunks(usize::from(MAX_ALIGNED_CONTENT));
        for (header, chunk) in headers.iter_mut().zip(chunks.clone()) {
            let content = u16::try_from(chunk.len()).unwrap_or(MAX_ALIGNED_CONTENT);
            *header = self.reply.header(stream, content).encode();
        }
        let mut slices = [IoSlice::new(&[]); 1 + 2 * BATCH];
        slices[0] = IoSlice::new(self.reply.pending());
        for ((pair, header), chunk) in slices[1..].chunks_exact_mut(2).zip(&headers).zip(chunks) {
            pair.copy_from_slice(&[IoSlice::new(header), IoSlice::new(chunk)]);
        }
        let used = 1 + 2 * batch.len().div_ceil(usize::from(MAX_ALIGNED_CONTENT));
        let sent = socket::send_gathered(connection, &mut slices[..used], self.limits.send);
        self.sent = clock::micros();
        self.reply.clear();
        self.note(sent)
    }

    /// Sends what is buffered together with the end of a TCP connection, which saves both sides a segment. The end is sent here
    /// and not by the close, since a process that a script has forked may have the connection open, too.
    fn send_end(&mut self) -> Result<(), ClientGone> {
        let Some(connection) = self.connection.as_ref().filter(|_| !self.client.gone) else { return Err(ClientGone) };
        let sent = socket::send_last(connection, self.reply.pending(), self.limits.send);
        // If that fails, the client has closed the connection after the answer.
        let _ = socket::end_sending(connection);
        self.reply.clear();
        self.note(sent)
    }

    fn send_pending(&mut self) -> Result<(), ClientGone> {
        let Some(connection) = &self.connection else { return Err(ClientGone) };
        let sent =
            if self.client.gone { Ok(()) } else { socket::send(connection, self.reply.pending(), self.limits.send) };
        self.reply.clear();
        self.note(sent)
    }

    fn note<E>(&mut self, sent: Result<(), E>) -> Result<(), ClientGone> {
        self.client.gone |= sent.is_err();
        if self.client.gone { Err(ClientGone) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), ClientGone> {
        if self.client.gone || self.client.aborted { Err(ClientGone) } else { Ok(()) }
    }

    /// Closes the connection without destroying the answer on its way: the close of a socket that holds unread bytes
    /// resets the connection.
    fn close_gently(&mut self, mut ended: bool) {
        // In most cases the record that ends the body has arrived in the meantime.
        if !ended && self.receive_more() {
            ended = self.drop_body();
        }
        if !ended
            && let Some(connection) = &self.connection
            && socket::end_sending(connection).is_ok()
        {
            self.drain();
        }
        self.close();
    }

    /// Receives once without waiting; returns whether bytes came.
    pub(super) fn receive_more(&mut self) -> bool {
        let Some(connection) = self.connection.as_ref().filter(|_| !self.client.cut) else { return false };
        match socket::receive(connection, self.reader.room()) {
            Ok(Received::Bytes(count)) => {
                self.reader.filled(count);
                true
            }
            _ => false,
        }
    }

    /// Receives and drops bytes until the client closes, up to `Limits::linger`.
    fn drain(&mut self) {
        let Some(connection) = &self.connection else { return };
        let deadline = Instant::now() + self.limits.linger;
        while Instant::now() < deadline {
            match socket::receive(connection, self.reader.room()) {
                Ok(Received::Bytes(_)) => {}
                Ok(Received::Nothing) if socket::await_input(connection, deadline) == Ok(true) => {}
                _ => return,
            }
        }
    }
}
