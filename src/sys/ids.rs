//! The identity of a process: users, groups, capabilities (credentials(7), capabilities(7)). Names are resolved before any
//! chroot. After a change of identity the result is checked.

use std::collections::BTreeSet;
use std::io;

use caps::{Capability, CapsHashSet};
use nix::sys::prctl::set_keepcaps;
use nix::unistd::{Gid, Uid, getgrouplist, getgroups, getresgid, getresuid, setgid, setgroups, setuid};
use serde::{Deserialize, Serialize};

use super::capabilities::{self, Sets};
use super::failure::reason;

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

/// Why a change of identity failed. The process must not go on.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A call failed: php-fpm's text, and the system's reason.
    #[error("failed to {call}: {}", reason(source))]
    Call {
        /// The call with its arguments, as in `setuid(33)`.
        call: String,
        /// Why not.
        source: io::Error,
    },
    /// Every call succeeded, but the process has not become that user.
    #[error("the process did not become user {uid}: {fault}")]
    Fault {
        /// The user that it was to become.
        uid: u32,
        /// The ids of the former user that it still has.
        fault: String,
    },
}

/// The groups of the user of that name, including `gid` (getgrouplist(3)).
#[must_use]
pub fn supplementary(name: &str, gid: u32) -> Vec<u32> {
    let list = std::ffi::CString::new(name).ok().filter(|n| !n.is_empty());
    let list = list.and_then(|n| getgrouplist(&n, Gid::from_raw(gid)).ok());
    list.map_or_else(|| vec![gid], |l| l.into_iter().map(Gid::as_raw).collect())
}

/// The supplementary groups of this process.
///
/// # Errors
/// None in practice.
pub fn own_groups() -> io::Result<Vec<u32>> {
    Ok(getgroups()?.into_iter().map(Gid::as_raw).collect())
}

/// Changes to that identity with no way back: setgid, setgroups, setuid. Then it checks the result. The capabilities of `keep`,
/// as far as the process has them, stay permitted (`PR_SET_KEEPCAPS`), and `capabilities::raise_kept` makes them effective later. `name` is
/// the user's, for messages.
///
/// # Errors
/// Those of the calls; the process still has something of the former user.
pub fn become_identity(identity: &Identity, name: &str, keep: &[Capability]) -> Result<(), IdentityError> {
    let Identity { uid, gid, groups } = identity;
    let unprivileged = *uid != 0;
    let kept = step("read its capabilities", capabilities::held(keep))?;
    if unprivileged && !kept.is_empty() {
        step("keep capabilities", set_keepcaps(true).map_err(Into::into))?;
    }
    step(&format!("setgid({gid})"), setgid(Gid::from_raw(*gid)).map_err(Into::into))?;
    let list: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    step(&format!("initgroups({name}, {gid})"), setgroups(&list).map_err(Into::into))?;
    step(&format!("setuid({uid})"), setuid(Uid::from_raw(*uid)).map_err(Into::into))?;
    if unprivileged {
        step("drop capabilities", capabilities::drop_all_but(&kept))?;
    }
    if unprivileged && !kept.is_empty() {
        step("reset PR_SET_KEEPCAPS", set_keepcaps(false).map_err(Into::into))?;
    }
    let now = step("read its new identity", Now::look())?;
    match fault(identity, &kept, &now).or_else(|| way_back(identity)) {
        Some(fault) => Err(IdentityError::Fault { uid: *uid, fault }),
        None => Ok(()),
    }
}

fn step<T>(call: &str, done: io::Result<T>) -> Result<T, IdentityError> {
    done.map_err(|source| IdentityError::Call { call: call.to_owned(), source })
}

/// The identity of this process as the kernel has it.
#[derive(Debug)]
struct Now {
    /// Real, effective and saved.
    uids: [u32; 3],
    gids: [u32; 3],
    groups: Vec<u32>,
    capabilities: Sets,
}

impl Now {
    fn look() -> io::Result<Self> {
        let (users, groups) = (getresuid()?, getresgid()?);
        Ok(Self {
            uids: [users.real, users.effective, users.saved].map(Uid::as_raw),
            gids: [groups.real, groups.effective, groups.saved].map(Gid::as_raw),
            groups: getgroups()?.into_iter().map(Gid::as_raw).collect(),
            capabilities: Sets::now()?,
        })
    }
}

/// How the identity differs from the wanted one.
fn fault(wanted: &Identity, kept: &CapsHashSet, now: &Now) -> Option<String> {
    let set = |ids: &[u32]| ids.iter().copied().collect::<BTreeSet<u32>>();
    if now.uids != [wanted.uid; 3] {
        return Some(format!("its user ids are {:?}", now.uids));
    }
    if now.gids != [wanted.gid; 3] {
        return Some(format!("its group ids are {:?} in place of {}", now.gids, wanted.gid));
    }
    if set(&now.groups) != set(&wanted.groups) {
        return Some(format!("its supplementary groups are {:?} in place of {:?}", now.groups, wanted.groups));
    }
    if wanted.uid == 0 { None } else { now.capabilities.beyond(kept) }
}

/// Whether the process can become root again.
fn way_back(identity: &Identity) -> Option<String> {
    if identity.uid == 0 {
        return None;
    }
    if setuid(Uid::from_raw(0)).is_ok() {
        return Some("it can become user root again".to_owned());
    }
    (identity.gid != 0 && setgid(Gid::from_raw(0)).is_ok()).then(|| "it can take group root again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { uid: 33, gid: 34, groups: vec![34, 50] }
    }

    fn now() -> Now {
        let none = CapsHashSet::new;
        Now {
            uids: [33; 3],
            gids: [34; 3],
            groups: vec![50, 34],
            capabilities: Sets { permitted: none(), effective: none(), inheritable: none() },
        }
    }

    fn found(change: impl Fn(&mut Now), kept: &[Capability]) -> Option<String> {
        let mut now = now();
        change(&mut now);
        fault(&identity(), &kept.iter().copied().collect(), &now)
    }

    #[test]
    fn a_complete_change_has_no_fault() {
        assert_eq!(found(|_| (), &[]), None);
        assert_eq!(found(|_| (), &[Capability::CAP_SYS_CHROOT]), None);
    }

    #[test]
    fn each_id_and_group_counts() {
        for place in 0..3 {
            assert!(found(|now| now.uids[place] = 0, &[]).is_some_and(|f| f.contains("user ids")));
            assert!(found(|now| now.gids[place] = 0, &[]).is_some_and(|f| f.contains("group ids")));
        }
        assert!(found(|now| now.groups.push(0), &[]).is_some_and(|f| f.contains("supplementary")));
        assert!(found(|now| now.groups.clear(), &[]).is_some_and(|f| f.contains("supplementary")));
    }

    #[test]
    fn only_what_is_kept_may_be_there_and_only_permitted() {
        let chroot = Capability::CAP_SYS_CHROOT;
        let permit = |now: &mut Now| assert!(now.capabilities.permitted.insert(chroot));
        assert_eq!(found(permit, &[chroot]), None);
        assert_eq!(found(permit, &[]).as_deref(), Some("it still has CAP_SYS_CHROOT (permitted)"));
        let effective = |now: &mut Now| assert!(now.capabilities.effective.insert(chroot));
        assert_eq!(found(effective, &[chroot]).as_deref(), Some("it still has CAP_SYS_CHROOT (effective)"));
        let inheritable = |now: &mut Now| assert!(now.capabilities.inheritable.insert(chroot));
        assert_eq!(found(inheritable, &[chroot]).as_deref(), Some("it still has CAP_SYS_CHROOT (inheritable)"));
    }

    #[test]
    fn root_keeps_its_capabilities() {
        let root = Identity { uid: 0, gid: 0, groups: vec![0] };
        let mut now = Now { uids: [0; 3], gids: [0; 3], groups: vec![0], ..now() };
        now.capabilities.permitted.insert(Capability::CAP_KILL);
        assert_eq!(fault(&root, &CapsHashSet::new(), &now), None);
    }
}
