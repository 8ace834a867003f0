//! Facts about another process from `/proc/PID`: its parent, its time of birth, its user (proc(5)). A pid alone names whichever
//! process has it now, so parent and time of birth are compared before a process is believed to be the one that is meant.
#![forbid(unsafe_code)]

use nix::unistd::{Pid, getpid};

use super::proc_file;

/// The origin of a process. Parent and time of birth distinguish it from a later process with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Its parent.
    pub parent: Pid,
    /// When it was started, in clock ticks since boot (`starttime`).
    pub born: u64,
}

/// The origin of a process, also of one that has ended and was not reaped yet. `None`: there is no such process, or its parent is
/// reaping it.
#[must_use]
pub fn origin(pid: Pid) -> Option<Origin> {
    let stat = proc_file::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

fn parse_stat(stat: &[u8]) -> Option<Origin> {
    // The second field, the name in parentheses, may contain spaces and parentheses.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(end + 2..)?).ok()?.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    // Of a process that is being reaped the kernel tells neither parent (0) nor process group (-1).
    fields.next().filter(|process_group| *process_group != "-1")?;
    let born = fields.nth(16)?.parse().ok()?;
    Some(Origin { parent: Pid::from_raw(parent), born })
}

/// Whether the process with this pid and this time of birth runs: it is no zombie.
#[must_use]
pub fn lives(pid: Pid, born: u64) -> bool {
    proc_file::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_alive(&stat, born))
}

fn is_alive(stat: &[u8], born: u64) -> bool {
    state_of(stat, born).is_some_and(|state| !matches!(state, b'Z' | b'X'))
}

/// The state of the process, if it has this time of birth.
fn state_of(stat: &[u8], born: u64) -> Option<u8> {
    parse_stat(stat).filter(|origin| origin.born == born).and_then(|_| state(stat))
}

/// Whether this is a child of this process that has ended and was not reaped yet.
#[must_use]
pub fn is_unreaped_child(pid: Pid) -> bool {
    let is_ours = |stat: &[u8]| parse_stat(stat).is_some_and(|origin| origin.parent == getpid());
    proc_file::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_ours(&stat) && state(&stat) == Some(b'Z'))
}

/// Whether the process with this pid and this time of birth has ended and was not reaped yet (state `Z`).
#[must_use]
pub fn is_zombie(pid: Pid, born: u64) -> bool {
    has_state(pid, born, b'Z')
}

/// Whether the process with this pid and this time of birth is stopped (state `T`).
#[must_use]
pub fn is_stopped(pid: Pid, born: u64) -> bool {
    has_state(pid, born, b'T')
}

fn has_state(pid: Pid, born: u64, letter: u8) -> bool {
    proc_file::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| state_of(&stat, born) == Some(letter))
}

/// Whether the process waits in the kernel and cannot be interrupted (state `D`).
#[must_use]
pub fn waits_in_kernel(pid: Pid) -> bool {
    proc_file::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| state(&stat) == Some(b'D'))
}

fn state(stat: &[u8]) -> Option<u8> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(end + 2).copied()
}

/// The users, groups and capabilities of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective, saved and of the file system.
    pub uids: [u32; 4],
    /// The same for groups.
    pub gids: [u32; 4],
    /// Supplementary groups, in ascending order.
    pub groups: Vec<u32>,
    /// Whether it has capabilities: permitted, effective, inheritable or ambient ones.
    pub capable: bool,
}

/// The processes of this pid namespace that `/proc` shows.
pub fn pids() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
}

/// The value of a line in the text of `/proc/PID/status`. The line with the process's name need not be UTF-8.
pub(super) fn field<'a>(status: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?;
    std::str::from_utf8(value).ok()
}

/// The real uid in the text of `/proc/PID/status`.
pub(super) fn real_uid(status: &[u8]) -> Option<u32> {
    field(status, "Uid")?.split_ascii_whitespace().next()?.parse().ok()
}

/// The credentials of a process. `None`: there is no such process, or the kernel does not tell all of them.
#[must_use]
pub fn credentials(pid: Pid) -> Option<Credentials> {
    parse_credentials(&proc_file::read(format!("/proc/{pid}/status")).ok()?)
}

fn parse_credentials(status: &[u8]) -> Option<Credentials> {
    let numbers = |name| {
        let numbers = field(status, name)?.split_ascii_whitespace().map(|id| id.parse().ok());
        numbers.collect::<Option<Vec<u32>>>()
    };
    let capabilities = |name| u64::from_str_radix(field(status, name)?.trim(), 16).ok();
    let mut groups = numbers("Groups")?;
    groups.sort_unstable();
    groups.dedup();
    let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(capabilities);
    let capable = sets.into_iter().try_fold(0, |all, set| Some(all | set?))? != 0;
    let (uids, gids) = (numbers("Uid")?.try_into().ok()?, numbers("Gid")?.try_into().ok()?);
    Some(Credentials { uids, gids, groups, capable })
}

/// The real uid of a process. `None`: there is no such process.
#[must_use]
pub fn user_of(pid: Pid) -> Option<u32> {
    real_uid(&proc_file::read(format!("/proc/{pid}/status")).ok()?)
}

#[cfg(test)]
mod tests {
    use nix::unistd::getppid;

    use super::*;

    #[test]
    fn the_credentials_of_a_process_are_read_as_a_whole() {
        let status = b"Name:\tUid: 0\xff\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 5 9 \nCapInh:\t0000000000000000\n\
            CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n";
        let expected = Credentials { uids: [1, 2, 3, 4], gids: [5, 6, 7, 8], groups: vec![5, 9], capable: false };
        assert_eq!(parse_credentials(status), Some(expected));
        let text = String::from_utf8_lossy(status);
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            let with = text.replace(&format!("{set}:\t00"), &format!("{set}:\t10"));
            assert!(parse_credentials(with.as_bytes()).is_some_and(|found| found.capable), "{set}");
        }
        for field in ["Uid:\t1\t2\t3\t4\n", "Gid:\t5", "Groups:", "CapAmb:"] {
            assert_eq!(parse_credentials(text.replace(field, "").as_bytes()), None, "{field}");
        }
        assert_eq!(credentials(getpid()).map(|found| found.uids[1]), Some(nix::unistd::geteuid().as_raw()));
    }

    #[test]
    fn the_origin_of_a_process_is_read_past_its_name() {
        let stat = b"42 (a) S 9 (b)) R 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2\n";
        assert_eq!(parse_stat(stat), Some(Origin { parent: Pid::from_raw(7), born: 12345 }));
        assert_eq!(parse_stat(b"42 (a"), None);
        let reaped = b"42 (a) S 9 (b)) X 0 -1 -1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 0 0 12345 1 2\n";
        assert_eq!(parse_stat(reaped), None, "its parent is unknown");
        assert!(is_alive(stat, 12345) && !is_alive(stat, 12344) && !is_alive(b"42 (a", 12345));
        let ended = b"42 (a) S 9 (b)) Z 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2\n";
        assert!(!is_alive(ended, 12345));
        assert_eq!((state(stat), state(ended), state(b"42 (a")), (Some(b'R'), Some(b'Z'), None));
        let own = origin(getpid()).unwrap();
        assert!(lives(getpid(), own.born) && !lives(getpid(), own.born + 1));
        assert!(!is_zombie(getpid(), own.born) && !is_stopped(getpid(), own.born));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        assert!(!is_unreaped_child(pid));
        child.kill().unwrap();
        let begun = std::time::Instant::now();
        while !is_unreaped_child(pid) {
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "its end is not seen");
        }
        child.wait().unwrap();
        assert!(!is_unreaped_child(pid));
        assert_eq!(own.parent, getppid());
        assert!(own.born > 0);
        assert_eq!(user_of(getpid()), Some(nix::unistd::getuid().as_raw()));
    }
}
