//! FastCGI 1.0: records, name-value pairs, requests in, replies out. No I/O here.
#![forbid(unsafe_code)]
pub mod params;
