//! The settings of pools that need root's rights beyond a change of user.

use crate::config::{CoreLimit, PoolConfig};
use crate::sys::limits::Ceilings;

/// The limits and the nice value of a pool, as far as a process cannot set them without a capability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Privileged {
    /// `process.priority` below the present nice value (CAP_SYS_NICE).
    pub nice: Option<i32>,
    /// `rlimit_files` above the hard limit (CAP_SYS_RESOURCE).
    pub files: Option<u64>,
    /// `rlimit_core` above the hard limit (CAP_SYS_RESOURCE), in bytes; `u64::MAX`: unlimited.
    pub core: Option<u64>,
}

impl Privileged {
    /// Those of a pool. `ceilings`: what a process may set without capabilities.
    #[must_use]
    pub(crate) fn of(pool: &PoolConfig, ceilings: Ceilings) -> Self {
        Self::among(pool.process_priority, pool.rlimit_files, pool.rlimit_core, ceilings)
    }

    fn among(nice: Option<i32>, files: Option<u64>, core: Option<CoreLimit>, ceilings: Ceilings) -> Self {
        Self {
            nice: nice.filter(|nice| *nice < ceilings.nice),
            files: files.filter(|files| *files > ceilings.files),
            core: core.map(|core| core.bytes().unwrap_or(u64::MAX)).filter(|core| *core > ceilings.core),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILINGS: Ceilings = Ceilings { nice: 0, files: 1024, core: 0 };

    #[test]
    fn lower_limits_need_no_privilege() {
        let core = Some(CoreLimit::Bytes(0));
        assert_eq!(Privileged::among(Some(0), Some(1024), core, CEILINGS), Privileged::default());
        assert_eq!(Privileged::among(Some(5), Some(10), None, CEILINGS), Privileged::default());
        let unlimited = Ceilings { core: u64::MAX, ..CEILINGS };
        assert_eq!(Privileged::among(None, None, Some(CoreLimit::Unlimited), unlimited), Privileged::default());
    }

    #[test]
    fn raised_limits_need_privileges() {
        let (files, core) = (Some(1025), Some(CoreLimit::Unlimited));
        let all = Privileged { nice: Some(-1), files, core: Some(u64::MAX) };
        assert_eq!(Privileged::among(Some(-1), files, core, CEILINGS), all);
    }
}
