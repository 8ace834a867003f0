//! How much and how long a client may take.

use std::time::Duration;

use crate::fastcgi::request::ParamsLimits;

/// Limits of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the parameters.
    pub params: ParamsLimits,
    /// From the first byte of a request to its last parameter, all that is sent meanwhile included.
    pub header: Duration,
    /// For the rest of a request's parameters, before the connection is kept elsewhere until more has come.
    pub moment: Duration,
    /// For a client to make room for the answers to its management records, which are a few bytes each.
    pub answers: Duration,
    /// Without any byte of the body that is waited for. Longer than nginx's client_body_timeout (60 s), which should strike first.
    pub body: Duration,
    /// Without the client taking any byte of the answer; none: as long as it likes, as in php-fpm.
    pub send: Option<Duration>,
    /// For a client that still sends after its answer: closing at once would destroy what it hasn't read.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            params: ParamsLimits::default(),
            header: Duration::from_secs(30),
            moment: Duration::from_millis(20),
            answers: Duration::from_secs(1),
            body: Duration::from_secs(75),
            send: None,
            linger: Duration::from_secs(2),
        }
    }
}
