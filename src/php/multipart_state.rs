//! The state of a multipart form while it is read.

use std::collections::HashSet;
use std::fs::File;

use crate::form::multipart::headers::Headers;
use crate::form::multipart::names::FileName;
use crate::form::multipart::window::Window;

/// The form's state. It is in the context, because a bailout skips destructors.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) window: Window,
    pub(super) headers: Headers,
    /// The name of the field, a C string.
    pub(super) name: Vec<u8>,
    /// The name of the file, a C string.
    pub(super) file_name: Vec<u8>,
    /// The name in `$_FILES`, and the field that is registered next, a C string.
    pub(super) in_files: FileName,
    pub(super) field: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// Names that no field may have, because a file has them.
    pub(super) protected: HashSet<Vec<u8>>,
    pub(super) link: LinkState,
}

#[derive(Debug, Default)]
pub(super) struct LinkState {
    /// The length of the body, and how much of it was read.
    pub(super) length: u64,
    pub(super) received: u64,
    pub(super) file: Option<File>,
}

impl Parts {
    /// What was read of the body and not used: from which byte on, and the bytes.
    pub(super) fn ahead(&self) -> (u64, &[u8]) {
        (self.window.seen(), self.window.ahead())
    }

    /// The memory of the window.
    pub(super) fn into_memory(self) -> Vec<u8> {
        self.window.into_buffer()
    }
}
