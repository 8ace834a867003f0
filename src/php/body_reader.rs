//! Reading the request's body, from wherever it is.

use std::path::Path;

use super::body::Body;
use super::context::Context;
use crate::exchange::Exchange;
use crate::script::body_file::BodyFile;
use crate::text::atol;

impl Context {
    /// Opens the body file, if the request names one. An empty name is none: nginx sends it with requests without a body.
    pub(super) fn open_body(&mut self, root: Option<&Path>) {
        let announced = self.announced();
        self.body = match self.env.value(b"REQUEST_BODY_FILE") {
            None => Body::Stream,
            Some(b"") => match announced {
                // nginx keeps small bodies in memory, and sends them nowhere.
                Some(length @ 1..) if self.exchange().is_some_and(Exchange::body_is_empty) => {
                    Body::Refused(BodyFile::unnamed(length))
                }
                _ => Body::Stream,
            },
            Some(name) => BodyFile::open(name, announced, root).map_or_else(Body::Refused, Body::File),
        };
    }

    /// The body's length: the announced one; without that, a body file's size.
    pub(super) fn body_length(&self) -> i64 {
        match &self.body {
            Body::Stream => self.announced().unwrap_or(0),
            Body::File(file) => i64::try_from(file.size()).unwrap_or(i64::MAX),
            Body::Refused(_) => 0,
        }
    }

    /// Reads on after the bytes that were read before, until the buffer is full or the body ends. The buffer has room for no more
    /// than what was announced: a body that ends before it is full was cut off. One that the web server ends without a byte was not
    /// passed on (nginx: `fastcgi_pass_request_body off`): the script gets an empty one, and nothing is missing.
    pub(super) fn read_body(&mut self, buffer: &mut [u8], before: u64) -> usize {
        let count = match &self.body {
            Body::Stream => self.exchange().map_or(0, |exchange| exchange.read_body(buffer)),
            Body::File(file) => file.read_at(buffer, before),
            Body::Refused(_) => 0,
        };
        if count < buffer.len() {
            let withheld = before == 0 && count == 0 && self.is_stream_ended();
            self.cut_off |= !withheld;
        }
        count
    }

    fn is_stream_ended(&mut self) -> bool {
        matches!(self.body, Body::Stream) && self.exchange().is_some_and(|exchange| exchange.body_was_ended())
    }

    /// CONTENT_LENGTH as C's `atol` reads it; an empty one is none.
    fn announced(&self) -> Option<i64> {
        let text = self.env.value(b"CONTENT_LENGTH")?.trim_ascii_start();
        (!text.is_empty()).then(|| atol(text))
    }
}
