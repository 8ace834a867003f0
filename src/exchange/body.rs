//! The request's body: bytes that are already buffered, then bytes from the connection.

use std::time::Instant;

use super::connection::Exchange;
use crate::fastcgi::request::Step;
use crate::sys::socket::{self, Received};

impl Exchange {
    /// Reads body bytes into `buf` until it is full or the body ends. 0: there are no more (the body ended, the
    /// client aborted or stalled: see `aborted`).
    pub fn read_body(&mut self, buf: &mut [u8]) -> usize {
        self.read_body_some(buf, buf.len())
    }

    /// Reads body bytes into `buf` until there are `least`, or the body ends. It may read more if they have arrived.
    pub fn read_body_some(&mut self, buf: &mut [u8], least: usize) -> usize {
        let mut filled = 0;
        while filled < least {
            let rest = buf.get_mut(filled..).filter(|rest| !rest.is_empty());
            match rest.and_then(|rest| self.read_some(rest)) {
                Some(count) => filled += count,
                None => break,
            }
        }
        filled
    }

    /// Whether the body is empty. Waits for its first byte or its end.
    pub fn body_is_empty(&mut self) -> bool {
        while !self.client.cut {
            match self.reader.advance() {
                Ok(Step::Body) => return false,
                Ok(Step::End) => return true,
                Ok(Step::More | Step::Request) if self.receive_body(&mut []).is_some() => {}
                Ok(Step::Answer { .. }) if self.send_answers(&mut None).is_ok() => {}
                // The caller learns the reason when it reads the body.
                _ => return false,
            }
        }
        false
    }

    /// Reads some bytes; `None`: the body has ended or broken off.
    fn read_some(&mut self, into: &mut [u8]) -> Option<usize> {
        if self.client.cut {
            return None;
        }
        match self.reader.advance() {
            Ok(Step::Body) => match self.reader.take_body(into) {
                0 => self.receive_body(into),
                count => Some(count),
            },
            Ok(Step::More | Step::Request) => self.receive_body(&mut []),
            Ok(Step::Answer { .. }) => self.send_answers(&mut None).ok().map(|()| 0),
            Ok(Step::End) => None,
            Ok(Step::Abort) => {
                self.client.aborted = true;
                None
            }
            Err(_) => self.cut(),
        }
    }

    /// Receives the content of the current record directly into `into`, and what follows it into the input buffer.
    fn receive_body(&mut self, into: &mut [u8]) -> Option<usize> {
        let Some(connection) = &self.connection else { return None };
        let most = into.len().min(self.reader.body_left());
        let direct = into.get_mut(..most).unwrap_or_default();
        let received = if direct.is_empty() {
            socket::receive(connection, self.reader.room())
        } else {
            socket::receive_two(connection, direct, self.reader.room())
        };
        match received {
            Ok(Received::Bytes(count)) => {
                let taken = count.min(most);
                self.reader.body_received(taken);
                self.reader.filled(count - taken);
                Some(taken)
            }
            Ok(Received::Nothing) => match socket::await_input(connection, Instant::now() + self.limits.body) {
                Ok(true) => Some(0),
                _ => self.cut(),
            },
            Ok(Received::End) => self.cut(),
            Err(_) => {
                self.client.gone = true;
                self.cut()
            }
        }
    }

    fn cut(&mut self) -> Option<usize> {
        self.client.cut = true;
        None
    }

    /// Drops the part of the body that has been received; returns whether the end of the body was part of it.
    pub(super) fn drop_body(&mut self) -> bool {
        let mut until = None;
        while !self.client.cut {
            match self.reader.advance() {
                Ok(Step::Body) if self.reader.drop_body() > 0 => {}
                Ok(Step::Body | Step::More | Step::Request) => break,
                Ok(Step::End | Step::Abort) => return self.reader.ended(),
                Ok(Step::Answer { .. }) => {
                    if self.send_answers(&mut until).is_err() {
                        break;
                    }
                }
                Err(_) => self.client.cut = true,
            }
        }
        false
    }
}
