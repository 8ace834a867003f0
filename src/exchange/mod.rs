//! One connection and the request on it: the I/O around `fastcgi`. An exchange knows only connections and bytes;
//! engines report what a request is and how it went to an `engine::Tracker`.
#![forbid(unsafe_code)]

mod arrival;
mod body;
mod connection;
mod limits;
mod output;

pub use arrival::{Arrival, Reason};
pub use connection::{ClientGone, Closing, Exchange, FirstByte, ParkConnection, RequestArrived};
pub use limits::Limits;
