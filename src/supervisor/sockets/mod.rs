//! Listening sockets: opened once, found again by their addresses, handed from one image of the supervisor to the next.
#![forbid(unsafe_code)]

mod activation;
mod error;
mod inherited;
mod listeners;
mod open;
mod options;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod paths;
mod queues;

pub use activation::{Passed, stored_name, take as take_passed};
pub use error::SocketError;
pub use inherited::InheritedSockets;
pub use listeners::{Listener, Sockets};
