//! Limits for what a client sends and how long it takes.

use std::time::Duration;

use crate::fastcgi::request::ParamsLimits;

/// Limits of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the parameters.
    pub params: ParamsLimits,
    /// From the first byte of a request to its last parameter, including everything else that is sent in between.
    pub header: Duration,
    /// For the rest of a request's parameters, before the connection is parked until more has arrived.
    pub moment: Duration,
    /// For a client to receive the answers to its management records, which are a few bytes each.
    pub answers: Duration,
    /// Between two receives of the body. Longer than nginx's client_body_timeout (60 s), which should expire first.
    pub body: Duration,
    /// Between two receives of the answer by the client; `None`: no limit, as in php-fpm.
    pub send: Option<Duration>,
    /// For a client that still sends after its answer. An immediate close would destroy what the client hasn't read.
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
