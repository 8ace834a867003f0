//! The answer: buffered, sent in large pieces, ended once.

use std::io::IoSlice;
use std::time::{Duration, Instant};

use super::connection::{ClientGone, Exchange};
use crate::fastcgi::record::{HEADER_LEN, MAX_ALIGNED_CONTENT, RecordType};
use crate::sys::process;
use crate::sys::socket::{self, Received};

/// From this size on bytes are sent from where they are, not copied.
const LARGE: usize = 32 * 1024;

/// So much is enough for a call where the script is slow: php-fpm sends whenever it has that much.
const PIECE: usize = 8 * 1024;

/// A script is slow where its answer has waited that long.
const SLOW: Duration = Duration::from_millis(5);

/// Records in one call.
const BATCH: usize = 8;

impl Exchange {
    /// Appends to the answer; sends when the buffer is full, or a piece of it where the script takes its time. After the end of
    /// the answer bytes are dropped.
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
        self.send_pending()
    }

    /// A line for the web server's error log (FCGI_STDERR), in its place between the bytes of the answer.
    pub fn write_stderr(&mut self, bytes: &[u8]) {
        // A client that has gone is found out by the next write.
        let _ = self.put(RecordType::Stderr, bytes);
    }

    /// Ends the answer: END_REQUEST after what is buffered, in one write; on a connection that isn't kept, also closes it.
    /// Later writes are dropped. False if it was ended before. In a process that a script has forked it only lets go of the
    /// connection: the answer is its parent's.
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
        let sent = self.send_pending().is_ok();
        self.finished = true;
        if !sent {
            self.close();
        } else if !self.reader.keep() || self.client.cut {
            self.close_gently(ended);
        }
        true
    }

    /// Replies to management records go out at once, between two records of the answer. Who sends such records and doesn't read what
    /// they are answered must not hold the worker: `until` is the limit of all of them, set by the first.
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

    /// Whether what is buffered should wait no longer, `before` of which was buffered before. The clock is read once a piece.
    fn is_due(&self, before: usize) -> bool {
        self.reply.pending().len() / PIECE > before / PIECE && self.sent.elapsed() >= SLOW
    }

    /// Sends what is buffered and `bytes` in records around them; up to seven bytes stay in the buffer, so that no record needs padding.
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
        self.sent = Instant::now();
        if self.client.gone { Err(ClientGone) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), ClientGone> {
        if self.client.gone || self.client.aborted { Err(ClientGone) } else { Ok(()) }
    }

    /// Closes without destroying the answer on its way: a socket that is closed with unread bytes in it resets the connection.
    fn close_gently(&mut self, mut ended: bool) {
        // Most often the record that ends the body has come meanwhile.
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

    /// One receive without waiting; whether bytes came.
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

    /// Receives and drops until the client closes, or for as long as the limit says.
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
