//! The capabilities of a process (capabilities(7), capget(2), capset(2)): which of root's rights it keeps, and which of them are effective.
#![forbid(unsafe_code)]

use std::io;

use caps::{CapSet, Capability, CapsHashSet};

/// Those of these capabilities that the process has. Root in a container often lacks some.
pub(super) fn held(wanted: &[Capability]) -> io::Result<CapsHashSet> {
    let held = read(CapSet::Permitted)?;
    Ok(wanted.iter().copied().filter(|one| held.contains(one)).collect())
}

fn read(set: CapSet) -> io::Result<CapsHashSet> {
    caps::read(None, set).map_err(io::Error::other)
}

/// Drops all capabilities but these, which stay permitted but not effective. Clearing the inheritable set clears the ambient one.
/// The bounding set stays, as under php-fpm: without it, scripts could not run programs such as sudo.
///
/// # Errors
/// Those of capset.
pub fn drop_all_but(kept: &CapsHashSet) -> io::Result<()> {
    let none = CapsHashSet::new();
    let permitted = read(CapSet::Permitted)?;
    let kept = permitted.intersection(kept).copied().collect();
    for (set, wanted) in [(CapSet::Effective, &none), (CapSet::Permitted, &kept), (CapSet::Inheritable, &none)] {
        // A seccomp filter may refuse capset, so it is not called where there is nothing to drop.
        if read(set)? != *wanted {
            caps::set(None, set, wanted).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Makes the kept capabilities effective, in a worker that is about to use them.
///
/// # Errors
/// Those of capset.
pub fn raise_kept() -> io::Result<()> {
    let kept = read(CapSet::Permitted)?;
    if kept.is_empty() || nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    caps::set(None, CapSet::Effective, &kept).map_err(io::Error::other)
}

/// Drops all capabilities and checks that they are gone. A process of root keeps them: its pool was allowed with `-R`.
///
/// # Errors
/// Those of capset; a capability that is still there.
pub fn drop_all() -> io::Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let none = CapsHashSet::new();
    drop_all_but(&none)?;
    Sets::now()?.beyond(&none).map_or(Ok(()), |left| Err(io::Error::other(left)))
}

/// The sets that matter after a change of identity.
#[derive(Debug)]
pub(super) struct Sets {
    pub(super) permitted: CapsHashSet,
    pub(super) effective: CapsHashSet,
    pub(super) inheritable: CapsHashSet,
}

impl Sets {
    /// The current sets of this process.
    pub(super) fn now() -> io::Result<Self> {
        Ok(Self {
            permitted: read(CapSet::Permitted)?,
            effective: read(CapSet::Effective)?,
            inheritable: read(CapSet::Inheritable)?,
        })
    }

    /// A capability that the process should not have, if there is one: only those of `kept` may be permitted, and none effective.
    pub(super) fn beyond(&self, kept: &CapsHashSet) -> Option<String> {
        let more_than = |set: &CapsHashSet, allowed: &CapsHashSet, name: &str| {
            let more = set.difference(allowed).min_by_key(|one| one.index())?;
            Some(format!("it still has {more} ({name})"))
        };
        let none = CapsHashSet::new();
        more_than(&self.permitted, kept, "permitted")
            .or_else(|| more_than(&self.effective, &none, "effective"))
            .or_else(|| more_than(&self.inheritable, &none, "inheritable"))
    }
}
