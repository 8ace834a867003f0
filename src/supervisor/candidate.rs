//! A group of a configuration before its turn has come.

use crate::supervisor::generation::GroupDraft;
use crate::sys::limits::FileLimits;

/// A group that nothing is open for yet.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) draft: GroupDraft,
    /// RLIMIT_NOFILE for its processes.
    pub(super) nofile: FileLimits,
}
