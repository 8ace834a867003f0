//! The control socket: its address, and the commands that have connected. `control_requests` answers them.
#![forbid(unsafe_code)]

mod address;
mod client;
mod state;

pub(crate) use address::{Address, Progress};
pub(crate) use client::{Accepted, Client, Message, Renewing};
pub(crate) use state::ControlState;

use std::collections::BTreeMap;

use crate::sys::clock::Moment;

/// The socket and its clients. Without an address there is none.
#[derive(Debug, Default)]
pub(crate) struct ControlSocket {
    /// Where it listens.
    pub(crate) address: Option<Address>,
    /// Its token, once it is watched.
    pub(crate) watched: Option<u64>,
    /// It is not watched before then: the latest connection could not be accepted.
    pub(crate) again: Option<Moment>,
    /// That was logged.
    pub(crate) told: bool,
    /// Commands, by token.
    pub(crate) clients: BTreeMap<u64, Client>,
    /// Why groups could not be renewed, for the commands that wait for them.
    pub(crate) failures: BTreeMap<String, String>,
}
