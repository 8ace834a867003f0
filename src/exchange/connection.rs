//! The exchange itself: which connection it holds, and what may be done with it.

use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::limits::Limits;
use crate::fastcgi::management::Capacity;
use crate::fastcgi::params::Params;
use crate::fastcgi::reply::Reply;
use crate::fastcgi::request::Reader;
use crate::sys::hangup;

/// The client has gone or the request was aborted; nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGone;

/// Takes a connection between two requests, to be served by whoever is idle; gives it back where it can't.
pub type Keeper = Box<dyn Fn(OwnedFd) -> Result<(), OwnedFd>>;

/// Called when the first byte of a request arrives.
pub type FirstByte = Box<dyn Fn()>;

/// How the client stands to the request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Client {
    /// FCGI_ABORT_REQUEST: no answer is wanted but END_REQUEST.
    pub(super) aborted: bool,
    /// The body broke off: the connection can't carry another request.
    pub(super) cut: bool,
    /// Nothing can be sent.
    pub(super) gone: bool,
}

/// A connection, the request whose parameters have arrived on it, and the way to its answer.
/// The buffers serve one connection after another.
pub struct Exchange {
    pub(super) connection: Option<OwnedFd>,
    pub(super) reader: Reader,
    pub(super) reply: Reply,
    pub(super) limits: Limits,
    pub(super) first_byte: Option<FirstByte>,
    pub(super) keeper: Option<Keeper>,
    pub(super) gave_away: bool,
    pub(super) client: Client,
    /// By when the request has to be complete that has begun to arrive, where that was set.
    pub(super) until: Option<Instant>,
    pub(super) finished: bool,
    /// When the request began, or something of its answer was sent last.
    pub(super) sent: Instant,
}

impl Exchange {
    /// Buffers without a connection.
    #[must_use]
    pub fn new(limits: Limits, capacity: Capacity) -> Self {
        Self {
            connection: None,
            reader: Reader::new(limits.params, capacity),
            reply: Reply::default(),
            limits,
            first_byte: None,
            keeper: None,
            gave_away: false,
            client: Client::default(),
            until: None,
            finished: true,
            sent: Instant::now(),
        }
    }

    /// With a function that is called when the first byte of a request arrives.
    #[must_use]
    pub fn with_first_byte(self, first_byte: FirstByte) -> Self {
        Self { first_byte: Some(first_byte), ..self }
    }

    /// With a keeper, which takes the connection where a script goes on after its answer.
    #[must_use]
    pub fn with_keeper(self, keeper: Keeper) -> Self {
        Self { keeper: Some(keeper), ..self }
    }

    /// Takes a connection, new or handed over, in place of one that may be held.
    pub fn attach(&mut self, connection: OwnedFd) {
        self.finish();
        self.reader.reset();
        self.connection = Some(connection);
        self.gave_away = false;
        self.until = None;
    }

    /// Takes a connection and what was received before of a request on it, which has to be complete by then.
    pub fn attach_unfinished(&mut self, connection: OwnedFd, rest: &[u8], until: Instant) {
        self.attach(connection);
        self.reader.take_up(rest);
        self.until = Some(until);
    }

    /// What was received of the request for which `arrive_briefly` didn't wait, and by when it has to be complete.
    #[must_use]
    pub fn rest(&self) -> Option<(Vec<u8>, Instant)> {
        Some((self.reader.rest(), self.until?))
    }

    /// Gives the connection away with such a request on it.
    pub fn detach_unfinished(&mut self) -> Option<OwnedFd> {
        self.reader.reset();
        self.until = None;
        self.connection.take()
    }

    /// Gives the connection away, if it is between two requests with no byte in hand. Otherwise `arrive` has more to do, or it is to be closed.
    pub fn detach(&mut self) -> Option<OwnedFd> {
        if self.keeps() && self.reader.at_rest() { self.connection.take() } else { None }
    }

    /// Ends the answer of a script that goes on. A connection that stays goes to the keeper, so that the next request on it
    /// need not wait for the script; not where more of this request's body, or bytes of the next request, are in hand.
    /// False if the answer was ended before.
    pub fn release(&mut self) -> bool {
        if !self.finish() {
            return false;
        }
        // Most often the record that ends the body has come meanwhile.
        if self.keeps() && !self.reader.ended() && self.receive_more() {
            self.drop_body();
        }
        if self.reader.ended()
            && let Some(keeper) = &self.keeper
            && self.keeps()
            && self.reader.at_rest()
            && let Some(connection) = self.connection.take()
        {
            self.connection = keeper(connection).err();
            self.gave_away = self.connection.is_none();
        }
        true
    }

    /// Whether the keeper has the connection that was attached last: it lives on elsewhere.
    #[must_use]
    pub fn gave_away(&self) -> bool {
        self.gave_away
    }

    /// Closes the connection, if one is held. The parameters stay.
    pub fn close(&mut self) {
        self.connection = None;
    }

    /// The connection, if one is held.
    #[must_use]
    pub fn connection(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(AsFd::as_fd)
    }

    /// Whether bytes of a next request are in hand: `arrive` is to be called before the connection is waited for or given away.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        self.connection.is_some() && self.reader.has_bytes()
    }

    /// Whether the request has ended and the connection may carry another one.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.finished && !(self.client.cut || self.client.gone) && self.connection.is_some()
    }

    /// The parameters. Their bytes neither move nor change until the next request is read on this connection.
    #[must_use]
    pub fn params(&self) -> &Params {
        self.reader.params()
    }

    /// A parameter as a C string (cut at its first NUL).
    #[must_use]
    pub fn param_c(&self, name: &[u8]) -> Option<&CStr> {
        self.params().get_c(name)
    }

    /// Whether the answer has been ended.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// Whether the client has gone, aborted the request, or left its body incomplete.
    #[must_use]
    pub fn aborted(&self) -> bool {
        self.body_broke_off() || self.client.gone
    }

    /// Whether the client has stopped sending before the body's end.
    #[must_use]
    pub fn body_broke_off(&self) -> bool {
        self.client.aborted || self.client.cut
    }

    /// Whether the client has ended the body as one ends it, after however many bytes.
    #[must_use]
    pub fn body_was_ended(&self) -> bool {
        self.reader.stdin_ended() && !self.body_broke_off()
    }

    /// Whether the client has closed the connection. Asks the system.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.connection.as_ref().is_some_and(hangup::is_abandoned)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, reader, client, finished, .. } = self;
        out.debug_struct("Exchange")
            .field("connection", connection)
            .field("id", &reader.id())
            .field("client", client)
            .field("finished", finished)
            .finish_non_exhaustive()
    }
}
