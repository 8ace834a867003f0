//! Who a process is: users, groups, capabilities. Names are resolved before any chroot.

use std::io;

use nix::unistd::{Gid, Uid, getgrouplist, setgid, setgroups, setuid};
use serde::{Deserialize, Serialize};

/// The identity that a zygote or worker takes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The groups that a user of that name is in, with `gid` among them.
#[must_use]
pub fn supplementary(name: &str, gid: u32) -> Vec<u32> {
    let list = std::ffi::CString::new(name).ok().filter(|n| !n.is_empty());
    let list = list.and_then(|n| getgrouplist(&n, Gid::from_raw(gid)).ok());
    list.map_or_else(|| vec![gid], |l| l.into_iter().map(Gid::as_raw).collect())
}

/// Becomes that identity for good: groups, then group, then user; then checks that there is no way back.
///
/// # Errors
/// Those of the calls; `PermissionDenied` if the old user could be taken again.
pub fn become_identity(identity: &Identity) -> io::Result<()> {
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    setgid(Gid::from_raw(identity.gid))?;
    setuid(Uid::from_raw(identity.uid))?;
    if identity.uid != 0 && setuid(Uid::from_raw(0)).is_ok() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "root could be regained after the drop"));
    }
    Ok(())
}

/// Takes on the identity but keeps these capabilities, for a zygote whose workers still need them.
///
/// # Errors
/// Those of the calls.
pub fn become_identity_keeping(identity: &Identity, keep: &[caps::Capability]) -> io::Result<()> {
    // What this process doesn't have itself it can't keep: a container's root often lacks CAP_SYS_RESOURCE.
    let held = caps::read(None, caps::CapSet::Permitted).map_err(io::Error::other)?;
    let kept: caps::CapsHashSet = keep.iter().copied().filter(|c| held.contains(c)).collect();
    if kept.is_empty() {
        return become_identity(identity);
    }
    nix::sys::prctl::set_keepcaps(true)?;
    become_identity(identity)?;
    caps::set(None, caps::CapSet::Permitted, &kept).map_err(io::Error::other)?;
    caps::set(None, caps::CapSet::Effective, &kept).map_err(io::Error::other)?;
    Ok(())
}

/// Gives up what `become_identity_keeping` kept. Root stays root: its pools were allowed with `-R`.
///
/// # Errors
/// Those of capset.
pub fn drop_capabilities() -> io::Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    caps::clear(None, caps::CapSet::Effective).map_err(io::Error::other)?;
    caps::clear(None, caps::CapSet::Permitted).map_err(io::Error::other)
}
