//! A user id that belongs to no local account and to no process. No process of another user can signal or trace a process that has it, or
//! open its descriptors.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;

use super::proc_stat;

/// The highest one that is tried: the next one is that of nobody. Neither Linux distributions nor systemd give the first ones below it to
/// any account or service.
const HIGHEST: u32 = 65533;

/// The highest user id that no account of /etc/passwd and no process has and that is none of `taken`. A group may have that number,
/// too. `None`: there is none in this user namespace.
#[must_use]
pub fn find(taken: &[u32]) -> Option<u32> {
    let maps = ["uid_map", "gid_map"].map(|name| fs::read_to_string(format!("/proc/self/{name}")).ok());
    let of_processes: BTreeSet<u32> =
        proc_stat::pids().filter_map(proc_stat::credentials).flat_map(|credentials| credentials.uids).collect();
    // Not the name service, which may hang: it asks LDAP for each id that no local account has.
    let accounts = local_accounts(&fs::read("/etc/passwd").unwrap_or_default());
    (1..=HIGHEST).rev().find(|id| {
        let exists = maps.iter().flatten().all(|map| is_mapped(map, *id));
        exists && !taken.contains(id) && !of_processes.contains(id) && !accounts.contains(id)
    })
}

/// The user ids in the text of /etc/passwd.
fn local_accounts(passwd: &[u8]) -> BTreeSet<u32> {
    let id = |line: &[u8]| std::str::from_utf8(line.split(|byte| *byte == b':').nth(2)?).ok()?.parse().ok();
    passwd.split(|byte| *byte == b'\n').filter_map(id).collect()
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
        assert!(nix::unistd::User::from_uid(first.into()).unwrap().is_none());
    }

    #[test]
    fn accounts_are_those_of_the_file() {
        let passwd = b"root:x:0:0::/root:/bin/sh\n\n+::::::\n\xff:x:65533:1::/:/bin/sh\nbad:x:no:1\nlast:x:7:7";
        assert_eq!(local_accounts(passwd), BTreeSet::from([0, 7, 65533]));
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
