//! Who a process is: users, groups, capabilities. Names are resolved before any chroot.

use std::io;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist, setgid, setgroups, setuid};
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
    /// For `USER` in the environment.
    pub name: String,
    /// For `HOME` in the environment.
    pub home: String,
}

/// Looks a pool's `user` and `group` up: names first, then numbers. Without `group`: the user's own.
///
/// # Errors
/// php-fpm's text, to be put behind `[pool x] `.
pub fn resolve(user: &str, group: Option<&str>) -> Result<Identity, String> {
    let entry = match User::from_name(user) {
        Ok(Some(entry)) => Some(entry),
        _ => user.parse().ok().and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten()),
    };
    let uid = match (&entry, user.parse::<u32>()) {
        (Some(entry), _) => entry.uid.as_raw(),
        (None, Ok(uid)) => uid,
        (None, Err(_)) => return Err(format!("cannot get uid for user '{user}'")),
    };
    let gid = match group {
        Some(group) => group_id(group)?,
        None => entry.as_ref().map_or(uid, |e| e.gid.as_raw()),
    };
    let name = entry.as_ref().map_or_else(String::new, |e| e.name.clone());
    let home = entry.as_ref().map_or_else(String::new, |e| e.dir.to_string_lossy().into_owned());
    Ok(Identity { uid, gid, groups: supplementary(&name, gid), name, home })
}

fn supplementary(name: &str, gid: u32) -> Vec<u32> {
    let list = std::ffi::CString::new(name).ok().filter(|n| !n.is_empty());
    let list = list.and_then(|n| getgrouplist(&n, Gid::from_raw(gid)).ok());
    list.map_or_else(|| vec![gid], |l| l.into_iter().map(Gid::as_raw).collect())
}

/// A group's number by name or number.
///
/// # Errors
/// php-fpm's text.
pub fn group_id(group: &str) -> Result<u32, String> {
    match Group::from_name(group) {
        Ok(Some(entry)) => Ok(entry.gid.as_raw()),
        _ => group.parse().map_err(|_| format!("cannot get gid for group '{group}'")),
    }
}

/// A user's number by name or number.
///
/// # Errors
/// php-fpm's text.
pub fn user_id(user: &str) -> Result<u32, String> {
    match User::from_name(user) {
        Ok(Some(entry)) => Ok(entry.uid.as_raw()),
        _ => user.parse().map_err(|_| format!("cannot get uid for user '{user}'")),
    }
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
    if keep.is_empty() {
        return become_identity(identity);
    }
    nix::sys::prctl::set_keepcaps(true)?;
    become_identity(identity)?;
    let kept: caps::CapsHashSet = keep.iter().copied().collect();
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
