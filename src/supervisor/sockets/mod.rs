//! Listening sockets: opened once, found again by their addresses, handed from one image of the supervisor to the next.
#![forbid(unsafe_code)]

mod activation;
mod advance;
mod background;
mod claim;
mod error;
mod handing_over;
mod inherited;
mod listeners;
mod names;
mod open;
mod openings;
mod options;
#[cfg(any(test, feature = "oracles"))]
pub(super) mod oracle;
mod ownership;
mod paths;
mod queues;
mod user_change;
mod waits;

pub(super) use activation::{Passed, stored_name, take as take_passed};
pub(super) use claim::Claim;
pub(super) use error::SocketError;
pub(super) use inherited::InheritedSockets;
pub(super) use listeners::{Listener, Ownership, Sockets};
pub(super) use names::{SocketNames, UnknownName, name_hosts};
pub(super) use openings::Openings;
