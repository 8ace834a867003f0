//! Reads the body of a request, from the connection or from its file.

use std::ffi::c_short;
use std::path::Path;

use super::body::Body;
use super::context::Context;
use super::ffi::core_globals;
use crate::exchange::Exchange;
use crate::script::body_file::BodyFile;
use crate::text::atol;

/// `PHP_CONNECTION_ABORTED`
const CONNECTION_ABORTED: c_short = 1;

impl Context {
    /// Opens the body file, if the request names one. An empty name stands for none: nginx sends that with requests without a body.
    pub(super) fn open_body(&mut self, root: Option<&Path>) {
        let announced = self.announced();
        self.body = match self.env.value(b"REQUEST_BODY_FILE") {
            None => Body::Stream,
            Some(b"") => match announced {
                // nginx keeps a small body in memory and does not send it.
                Some(length @ 1..) if self.exchange().is_some_and(Exchange::body_is_empty) => {
                    Body::Refused(BodyFile::unnamed(length))
                }
                _ => Body::Stream,
            },
            Some(name) => BodyFile::open(name, announced, root).map_or_else(Body::Refused, Body::File),
        };
    }

    /// The length of the body: the announced one for a connection, the size of a body file.
    pub(super) fn body_length(&self) -> i64 {
        match &self.body {
            Body::Stream => self.announced().unwrap_or(0),
            Body::File(file) => i64::try_from(file.size()).unwrap_or(i64::MAX),
            Body::Refused(_) => 0,
            #[cfg(feature = "differential")]
            Body::Memory(_) => 0,
        }
    }

    /// Reads from offset `before` on until the buffer is full or the body ends. The buffer is no larger than the rest of the
    /// announced length, so a body that ends earlier was cut off. One exception: if the web server ends the body without a byte,
    /// it does not pass bodies on (nginx: `fastcgi_pass_request_body off`), and the script gets an empty body.
    pub(super) fn read_body(&mut self, buffer: &mut [u8], before: u64) -> usize {
        self.read_body_some(buffer, buffer.len(), before)
    }

    /// The same, but waits only until `least` bytes are there.
    pub(super) fn read_body_some(&mut self, buffer: &mut [u8], least: usize, before: u64) -> usize {
        let count = match &self.body {
            Body::Stream => {
                let known = self.form.copy_ahead(buffer, before);
                let rest = buffer.get_mut(known..).unwrap_or_default();
                let least = least.saturating_sub(known);
                known + self.exchange().map_or(0, |exchange| exchange.read_body_some(rest, least))
            }
            Body::File(file) => file.read_at(buffer, before),
            Body::Refused(_) => 0,
            #[cfg(feature = "differential")]
            Body::Memory(bytes) => super::differential::read_at(bytes, buffer, least, before),
        };
        if count < least {
            let withheld = before == 0 && count == 0 && self.is_stream_ended();
            if !withheld {
                self.note_cut_off();
            }
        }
        count
    }

    /// Scripts see it by connection_status(). They go on, and can still answer if the client reads.
    fn note_cut_off(&mut self) {
        self.cut_off = true;
        // SAFETY: PG(connection_status) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
        unsafe { (*core_globals()).connection_status |= CONNECTION_ABORTED };
    }

    fn is_stream_ended(&mut self) -> bool {
        matches!(self.body, Body::Stream) && self.exchange().is_some_and(|exchange| exchange.body_was_ended())
    }

    /// CONTENT_LENGTH as C's `atol` reads it. `None`: it is missing or empty.
    fn announced(&self) -> Option<i64> {
        let text = self.env.value(b"CONTENT_LENGTH")?.trim_ascii_start();
        (!text.is_empty()).then(|| atol(text))
    }
}
