//! Finds the end of an answer in what arrives, in pieces of any size.

use testkit::Outcome;

use super::{fastcgi, http};

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A php-fpm, asked directly.
    FastCgi,
    /// A web server in front of it.
    Http,
}

/// The answer that arrives on a connection.
#[derive(Debug)]
pub(crate) enum Reader {
    /// Its content is the stream STDOUT: headers and body.
    FastCgi(fastcgi::Reader),
    /// Its content is the body.
    Http(http::Reader),
}

impl Protocol {
    /// A reader for a new connection.
    pub(crate) fn reader(self) -> Reader {
        match self {
            Self::FastCgi => Reader::FastCgi(fastcgi::Reader::default()),
            Self::Http => Reader::Http(http::Reader::default()),
        }
    }
}

impl Reader {
    /// Takes what has arrived; true: the answer is complete.
    ///
    /// # Errors
    /// If the bytes break the protocol, or if the answer reports a failure.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Outcome<bool> {
        match self {
            Self::FastCgi(reader) => reader.take(bytes),
            Self::Http(reader) => reader.take(bytes),
        }
    }

    /// The content so far.
    pub(crate) fn content(&self) -> &[u8] {
        match self {
            Self::FastCgi(reader) => reader.content(),
            Self::Http(reader) => reader.content(),
        }
    }

    /// Whether nothing has arrived yet.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::FastCgi(reader) => reader.content().is_empty(),
            Self::Http(reader) => reader.is_empty(),
        }
    }

    /// Begins with the next answer of the connection.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::FastCgi(reader) => reader.clear(),
            Self::Http(reader) => reader.clear(),
        }
    }
}
