//! Groups of users, as their children have looked them up. A look into the database of users takes longer than all else that a
//! child does.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sys::ids::Identity;

/// An entry is used for this long.
const KEPT: Duration = Duration::from_secs(10);
/// A user with more groups is looked up each time.
pub(super) const MOST_GROUPS: usize = 256;

/// By uid: when the user was looked up, and what was found.
static KNOWN: Mutex<BTreeMap<u32, (Instant, Identity)>> = Mutex::new(BTreeMap::new());

/// The identity of a user, if it was looked up lately.
pub(super) fn find(user: u32) -> Option<Identity> {
    let mut known = KNOWN.lock();
    known.retain(|_, (when, _)| when.elapsed() < KEPT);
    known.get(&user).map(|(_, identity)| identity.clone())
}

/// Keeps what a child has looked up.
pub(super) fn keep(identity: Identity) {
    KNOWN.lock().insert(identity.uid, (Instant::now(), identity));
}
