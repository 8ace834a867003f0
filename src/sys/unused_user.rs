//! A user id that belongs to no account and to no process. No process of another user can signal or trace a process that has it, or
//! open its descriptors.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;

use nix::unistd::{Uid, User};

use super::proc_stat;

/// The highest one that is tried: the next one is that of nobody. Neither Linux distributions nor systemd give the first ones below it to
/// any account or service.
const HIGHEST: u32 = 65533;

/// The highest user id that no account and no process has and that is none of `taken`. A group may have that number, too. `None`: there
/// is none in this user namespace.
#[must_use]
pub fn find(taken: &[u32]) -> Option<u32> {
    let maps = ["uid_map", "gid_map"].map(|name| fs::read_to_string(format!("/proc/self/{name}")).ok());
    let of_processes: BTreeSet<u32> =
        proc_stat::pids().filter_map(proc_stat::credentials).flat_map(|credentials| credentials.uids).collect();
    let has_account = |id| User::from_uid(Uid::from_raw(id)).is_ok_and(|user| user.is_some());
    (1..=HIGHEST).rev().find(|id| {
        let exists = maps.iter().flatten().all(|map| is_mapped(map, *id));
        exists && !taken.contains(id) && !of_processes.contains(id) && !has_account(*id)
    })
}

/// Whether an id exists in a user namespace (user_namespaces(7)). Each line of the map has the first id of a range, the one that it stands
/// for outside, and the length of the range.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(*numbers, [first, _, count] if (first..first + count).contains(&u64::from(id)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_taken_are_left_out() {
        let first = find(&[]).unwrap();
        let next = find(&[first]).unwrap();
        assert!(next < first && first <= HIGHEST, "{next} {first}");
        assert!(User::from_uid(Uid::from_raw(first)).unwrap().is_none());
    }

    #[test]
    fn a_user_namespace_may_have_a_few_ids_only() {
        assert!(is_mapped("         0          0 4294967295\n", HIGHEST));
        let few = "0 1000 1\n1 100000 999\n65534 1999 1\n";
        assert_eq!(
            [0, 1, 999, 1000, 65533, 65534].map(|id| is_mapped(few, id)),
            [true, true, true, false, false, true]
        );
    }
}
