//! What a request is and how it went, for every part that reports about requests.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use crate::fastcgi::params::Params;
use crate::text::atol;

/// The stages of a request that php-fpm's status page names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// The worker is being set up.
    #[default]
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
    /// The end of the answer is being sent: the worker will be free in a moment, and the client may send its next
    /// request before.
    Answered = 7,
}

/// What is known of a request before its script runs. The texts come from the web server and may hold any bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Description<'a> {
    /// `REQUEST_METHOD`.
    pub method: &'a [u8],
    /// PHP's `request_uri`: the script's name as the web server sees it, without the query.
    pub uri: &'a [u8],
    /// `QUERY_STRING`.
    pub query: &'a [u8],
    /// The user that HTTP's authorization names; not verified.
    pub user: &'a [u8],
    /// The script's path; empty where none was found.
    pub script: &'a [u8],
    /// `CONTENT_LENGTH`, in bytes.
    pub content_length: u64,
}

impl<'a> Description<'a> {
    /// Method, URI, query, user, script: to make a copy.
    #[must_use]
    pub fn texts(&self) -> [&'a [u8]; 5] {
        [self.method, self.uri, self.query, self.user, self.script]
    }

    /// A description from the parameters alone, for an answer without PHP.
    #[must_use]
    pub fn of(params: &'a Params) -> Self {
        let text = |name: &[u8]| params.get_c(name).map(CStr::to_bytes).unwrap_or_default();
        Self {
            method: text(b"REQUEST_METHOD"),
            uri: text(b"SCRIPT_NAME"),
            query: text(b"QUERY_STRING"),
            content_length: u64::try_from(atol(text(b"CONTENT_LENGTH"))).unwrap_or(0),
            ..Self::default()
        }
    }
}

/// Why the script of a request that has arrived doesn't run, where php-fpm would run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRun {
    /// Its form was cut off.
    Incomplete,
    /// Its client closed the connection while it waited.
    Abandoned,
}

/// How a request went. Reported after its script has ended and before its shutdown functions run, as in php-fpm.
pub struct Outcome<'a> {
    /// HTTP status.
    pub status: u16,
    /// The most memory that PHP took from the system, in bytes.
    pub memory_peak: u64,
    /// The value of a response header. Upper and lower case are the same.
    pub header: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
    /// The value of a variable of the request, as the script has it.
    pub variable: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
}
