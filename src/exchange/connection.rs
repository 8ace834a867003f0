//! The exchange itself: the connection that it holds, and what the worker may do with it.

use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::limits::Limits;
use crate::fastcgi::management::Capacity;
use crate::fastcgi::params::Params;
use crate::fastcgi::reply::Reply;
use crate::fastcgi::request::Reader;
use crate::sys::{hangup, idle_memory};

/// The client has gone or the request was aborted; nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGone;

/// Parks a connection between two requests, so that another worker can serve the next one. Returns the connection if
/// it can't.
pub type ParkConnection = Box<dyn Fn(OwnedFd) -> Result<(), OwnedFd>>;

/// Called before the exchange closes its connection.
pub type Closing = Box<dyn Fn(&OwnedFd)>;

/// Called when the first byte of a request arrives; returns the time, in microseconds of `CLOCK_MONOTONIC`.
pub type FirstByte = Box<dyn Fn() -> u64>;

/// Called when a request has arrived, before it is served. It may set one parameter (`Params::set`).
pub type RequestArrived = Box<dyn Fn(&mut Params)>;

/// What the client has done to the request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Client {
    /// It has sent FCGI_ABORT_REQUEST: it wants no answer but END_REQUEST.
    pub(super) aborted: bool,
    /// It stopped sending before the end of the body: the connection can't carry another request.
    pub(super) cut: bool,
    /// It has closed the connection: nothing can be sent.
    pub(super) gone: bool,
}

/// A connection, the request whose parameters have arrived on it, and the buffer of its answer. The buffers serve one
/// connection after another.
pub struct Exchange {
    pub(super) connection: Option<OwnedFd>,
    pub(super) reader: Reader,
    pub(super) reply: Reply,
    pub(super) limits: Limits,
    pub(super) first_byte: Option<FirstByte>,
    pub(super) arrived: Option<RequestArrived>,
    pub(super) park: Option<ParkConnection>,
    pub(super) parked: bool,
    pub(super) closing: Option<Closing>,
    pub(super) client: Client,
    /// Deadline for the parameters of the request that has begun to arrive.
    pub(super) until: Option<Instant>,
    pub(super) finished: bool,
    /// When the request began, or a part of its answer was last sent, in microseconds of `CLOCK_MONOTONIC`.
    pub(super) sent: u64,
    /// Connections may be those of TCP.
    pub(super) on_tcp: bool,
}

impl Exchange {
    /// Between two requests: returns the memory of the buffer to the kernel.
    pub fn release_memory(&mut self) {
        if self.connection.is_none() {
            self.reader.reset();
        }
        if let Some(buffer) = self.reader.unused() {
            idle_memory::clear(buffer);
        }
    }

    /// An exchange without a connection.
    #[must_use]
    pub fn new(limits: Limits, capacity: Capacity) -> Self {
        Self {
            connection: None,
            reader: Reader::new(limits.params, capacity),
            reply: Reply::default(),
            limits,
            first_byte: None,
            arrived: None,
            park: None,
            parked: false,
            closing: None,
            client: Client::default(),
            until: None,
            finished: true,
            sent: 0,
            on_tcp: false,
        }
    }

    /// Tells it that connections may be those of TCP, whose last bytes and end can leave together.
    #[must_use]
    pub fn on_tcp(self, on_tcp: bool) -> Self {
        Self { on_tcp, ..self }
    }

    /// Sets a function that is called when the first byte of a request arrives.
    #[must_use]
    pub fn with_first_byte(self, first_byte: FirstByte) -> Self {
        Self { first_byte: Some(first_byte), ..self }
    }

    /// Sets a function that is called when a request has arrived. `room`: the bytes of the parameter that it sets, name and
    /// value, each with a NUL.
    #[must_use]
    pub fn with_arrived(mut self, room: usize, arrived: RequestArrived) -> Self {
        self.reader.reserve(room);
        Self { arrived: Some(arrived), ..self }
    }

    /// Sets the function that parks the connection if a script continues after its answer.
    #[must_use]
    pub fn with_parking(self, park: ParkConnection) -> Self {
        Self { park: Some(park), ..self }
    }

    /// Sets a function that is called before a connection is closed.
    #[must_use]
    pub fn with_closing(self, closing: Closing) -> Self {
        Self { closing: Some(closing), ..self }
    }

    /// Takes a connection, new or handed over. An earlier one is closed.
    pub fn attach(&mut self, connection: OwnedFd) {
        self.finish();
        self.close();
        self.reader.reset();
        self.connection = Some(connection);
        self.parked = false;
        self.until = None;
    }

    /// Takes a connection on which a part of a request, `rest`, was received before. The request has to be complete
    /// at `until`.
    pub fn attach_unfinished(&mut self, connection: OwnedFd, rest: &[u8], until: Instant) {
        self.attach(connection);
        self.reader.take_up(rest);
        self.until = Some(until);
    }

    /// The received part of a request that `arrive_briefly` returned as unfinished, and the deadline of the request.
    #[must_use]
    pub fn rest(&self) -> Option<(Vec<u8>, Instant)> {
        Some((self.reader.rest(), self.until?))
    }

    /// Gives the connection away while a request on it is unfinished.
    pub fn detach_unfinished(&mut self) -> Option<OwnedFd> {
        self.reader.reset();
        self.until = None;
        self.connection.take()
    }

    /// Gives the connection away if it is between two requests and no byte of the next one is buffered. `None`: call
    /// `arrive` again, or close the connection.
    pub fn detach(&mut self) -> Option<OwnedFd> {
        if self.keeps() && self.reader.at_rest() { self.connection.take() } else { None }
    }

    /// Finishes the answer of a script that continues. A kept connection is parked, so that the next request
    /// on it need not wait for the script, unless the body of this request is incomplete or bytes of the next request
    /// are buffered. Returns false if the answer was finished before.
    pub fn release(&mut self) -> bool {
        if !self.finish() {
            return false;
        }
        // In most cases the record that ends the body has arrived in the meantime.
        if self.keeps() && !self.reader.ended() && self.receive_more() {
            self.drop_body();
        }
        if self.reader.ended()
            && let Some(park) = &self.park
            && self.keeps()
            && self.reader.at_rest()
            && let Some(connection) = self.connection.take()
        {
            self.connection = park(connection).err();
            self.parked = self.connection.is_none();
        }
        true
    }

    /// Whether the connection that was attached last was parked: another process holds it now.
    #[must_use]
    pub fn parked(&self) -> bool {
        self.parked
    }

    /// Closes the connection, if there is one. The parameters stay valid.
    pub fn close(&mut self) {
        if let (Some(connection), Some(closing)) = (self.connection.take(), &self.closing) {
            closing(&connection);
        }
    }

    /// The connection, if there is one.
    #[must_use]
    pub fn connection(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(AsFd::as_fd)
    }

    /// Whether bytes of the next request are buffered: then call `arrive` before you wait for the connection or give
    /// it away.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        self.connection.is_some() && self.reader.has_bytes()
    }

    /// Whether the request has ended and the connection may carry another one.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.finished && !(self.client.cut || self.client.gone) && self.connection.is_some()
    }

    /// The parameters. Their bytes don't move or change until the next request is read.
    #[must_use]
    pub fn params(&self) -> &Params {
        self.reader.params()
    }

    /// A parameter as a C string (cut at its first NUL).
    #[must_use]
    pub fn param_c(&self, name: &[u8]) -> Option<&CStr> {
        self.params().get_c(name)
    }

    /// Whether the answer is finished.
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

    /// Whether the client has ended the body properly, after any number of bytes.
    #[must_use]
    pub fn body_was_ended(&self) -> bool {
        self.reader.stdin_ended() && !self.body_broke_off()
    }

    /// Whether the client has closed the connection. Makes a system call.
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
