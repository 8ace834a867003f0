//! The facts of a request that a line of the access log can contain.

use std::ffi::CStr;
use std::net::IpAddr;

use super::format::Cpu;
use crate::request::Description;
use crate::request_ids::RequestIds;

/// The facts that a line can contain. Points in time are in seconds since 1970, durations in microseconds.
pub struct Facts<'a> {
    /// The pool's name.
    pub pool: &'a str,
    /// The worker's pid.
    pub pid: u32,
    /// The supervisor's pid.
    pub supervisor: u32,
    /// The client's address; none on a unix socket.
    pub remote: Option<IpAddr>,
    /// Method, URI, user and so on.
    pub request: Description<'a>,
    /// When the request started.
    pub accepted: u64,
    /// When the line is written.
    pub written: u64,
    /// The same in microseconds since 1970.
    pub written_micros: u64,
    /// How long the request took.
    pub duration: u64,
    /// User and system time.
    pub cpu: (u64, u64),
    /// Peak of PHP's memory, in bytes.
    pub memory: u64,
    /// HTTP status.
    pub status: u16,
    /// The ids of the request, if requests have ids.
    pub ids: Option<RequestIds>,
    /// A header of the answer by its name.
    pub header: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
    /// A variable of the request by its name.
    pub variable: &'a dyn Fn(&[u8]) -> Option<&'a [u8]>,
    /// Appends a point in time in a strftime format.
    pub date: &'a dyn Fn(u64, &CStr, &mut Vec<u8>),
}

/// In percent of one processor.
pub(super) fn cpu_share(which: Cpu, facts: &Facts<'_>) -> f64 {
    let (user, system) = facts.cpu;
    let used = match which {
        Cpu::User => user,
        Cpu::System => system,
        Cpu::Total => user.saturating_add(system),
    };
    as_float(used) / as_float(facts.duration.max(1)) * 100.0
}

/// Exact up to 285 years.
pub(super) fn as_float(micros: u64) -> f64 {
    micros as f64
}
