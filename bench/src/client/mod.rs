//! The clients: one that blocks, for a single connection, and an event loop for many, with or without a fixed rate.

mod arrivals;
mod check;
mod fastcgi;
mod http;
mod many;
mod reader;
mod report;
mod single;
#[cfg(test)]
mod tests;

pub(crate) use check::Check;
pub(crate) use many::Many;
pub(crate) use reader::{Protocol, Reader};
pub(crate) use report::Report;
pub(crate) use single::Single;
