//! One connection and the request on it: the I/O around `fastcgi`. See the signatures' owners.

use std::ffi::CStr;

use crate::fastcgi::params::Params;

/// The client has gone or the request was aborted; nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGone;

/// A request whose parameters have arrived, and the way to its answer.
#[derive(Debug)]
pub struct Exchange {}

impl Exchange {
    /// The parameters. Their bytes neither move nor change until the next request is read on this connection.
    #[must_use]
    pub fn params(&self) -> &Params {
        todo!()
    }

    /// A parameter as a C string (cut at its first NUL).
    #[must_use]
    pub fn param_c(&self, _name: &[u8]) -> Option<&CStr> {
        todo!()
    }

    /// Body bytes into `buf`; 0 = no more (end, abort, or a client that stalled: see `aborted`).
    pub fn read_body(&mut self, _buf: &mut [u8]) -> usize {
        todo!()
    }

    /// Appends to the answer; sends when the buffer is full.
    ///
    /// # Errors
    /// The client has gone.
    pub fn write(&mut self, _bytes: &[u8]) -> Result<(), ClientGone> {
        todo!()
    }

    /// Sends what is buffered.
    ///
    /// # Errors
    /// The client has gone.
    pub fn flush(&mut self) -> Result<(), ClientGone> {
        todo!()
    }

    /// A line for the web server's error log (FCGI_STDERR).
    pub fn write_stderr(&mut self, _bytes: &[u8]) {
        todo!()
    }

    /// Ends the request: END_REQUEST behind what is buffered, in one write; on a connection that isn't kept, also closes it.
    /// Later writes are dropped. False if it was ended before.
    pub fn finish(&mut self) -> bool {
        todo!()
    }

    /// Whether the answer has been ended.
    #[must_use]
    pub fn finished(&self) -> bool {
        todo!()
    }

    /// Whether the client has gone or aborted the request.
    #[must_use]
    pub fn aborted(&self) -> bool {
        todo!()
    }

    /// Publishes the stage of the request in the worker's scoreboard slot.
    pub fn stage(&mut self, _stage: Stage) {
        todo!()
    }

    /// Publishes the resolved script.
    pub fn running(&mut self, _script: &[u8]) {
        todo!()
    }
}

/// The stages of a request that php-fpm's status page names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// The worker is being made.
    Creating = 0,
    /// Waiting for a request.
    Idle = 1,
    /// Parameters are arriving.
    Reading = 2,
    /// The script is being found.
    Info = 3,
    /// The script runs.
    Running = 4,
    /// The answer is being completed.
    Ending = 5,
    /// After `fastcgi_finish_request()`.
    Finishing = 6,
}
