//! What a generation may do with sockets that others name.

use std::os::fd::RawFd;

use crate::plan::fleet::GenerationId;

/// A generation that is about to name its sockets.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// Which.
    pub owner: GenerationId,
    /// Whether that generation stops accepting connections before `owner` serves, so that `owner` may take its addresses.
    pub leaves: &'a dyn Fn(GenerationId) -> bool,
    /// Whether processes of another user than that of this pool may have a socket of that generation open.
    pub is_foreign: &'a dyn Fn(&str, GenerationId, RawFd) -> bool,
    /// The user of a pool, as in `Listener`.
    pub user: &'a dyn Fn(&str) -> Option<u64>,
}
