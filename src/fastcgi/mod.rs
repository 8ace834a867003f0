//! FastCGI 1.0: records, name-value pairs, requests in, replies out. No I/O here.
#![forbid(unsafe_code)]
pub mod index;
mod input;
pub mod management;
pub mod params;
pub mod record;
pub mod reply;
pub mod request;
