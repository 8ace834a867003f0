//! The control socket in the state that a reload hands over. Commands that wait for an answer find their connection closed, and ask again.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::supervisor::control_socket::{Address, ControlSocket};
use crate::sys::inherited;

/// A path, and the socket that listens there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ControlState {
    path: PathBuf,
    /// Its descriptor.
    pub(crate) listener: RawFd,
}

impl ControlState {
    /// The present state. `None`: nothing listens.
    pub(crate) fn of(socket: &ControlSocket) -> Option<Self> {
        let address = socket.address.as_ref()?;
        Some(Self { path: address.path().to_owned(), listener: address.listener()?.as_raw_fd() })
    }

    /// Takes it over.
    ///
    /// # Errors
    /// The descriptor isn't there.
    pub(crate) fn adopt(&self) -> io::Result<ControlSocket> {
        let address = Address::listening(self.path.clone(), inherited::adopt(self.listener)?);
        Ok(ControlSocket { address: Some(address), ..ControlSocket::default() })
    }
}
