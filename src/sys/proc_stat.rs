//! Facts about another process from `/proc/PID`: its parent, its time of birth, its user (proc(5)). A pid alone names whichever
//! process has it now, so parent and time of birth are compared before a process is believed to be the one that is meant.
#![forbid(unsafe_code)]

use nix::unistd::Pid;

/// The origin of a process. Parent and time of birth distinguish it from a later process with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Its parent.
    pub parent: Pid,
    /// When it was started, in clock ticks since boot (`starttime`).
    pub born: u64,
}

/// The origin of a process, also of one that has ended and was not reaped yet. `None`: there is no such process.
#[must_use]
pub fn origin(pid: Pid) -> Option<Origin> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

fn parse_stat(stat: &[u8]) -> Option<Origin> {
    // The second field, the name in parentheses, may contain spaces and parentheses.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(end + 2..)?).ok()?.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let born = fields.nth(17)?.parse().ok()?;
    Some(Origin { parent: Pid::from_raw(parent), born })
}

/// Whether the process with this pid and this time of birth runs: it is no zombie.
#[must_use]
pub fn lives(pid: Pid, born: u64) -> bool {
    std::fs::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_alive(&stat, born))
}

fn is_alive(stat: &[u8], born: u64) -> bool {
    parse_stat(stat).is_some_and(|origin| origin.born == born) && !matches!(state(stat), Some(b'Z' | b'X'))
}

/// Whether the process waits in the kernel and cannot be interrupted (state `D`).
#[must_use]
pub fn waits_in_kernel(pid: Pid) -> bool {
    std::fs::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| state(&stat) == Some(b'D'))
}

fn state(stat: &[u8]) -> Option<u8> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(end + 2).copied()
}

/// The real uid of a process. `None`: there is no such process.
#[must_use]
pub fn user_of(pid: Pid) -> Option<u32> {
    // The first line has the process's name, which need not be UTF-8.
    let status = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    let line = String::from_utf8_lossy(&status);
    let line = line.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use nix::unistd::{getpid, getppid};

    use super::*;

    #[test]
    fn the_origin_of_a_process_is_read_past_its_name() {
        let stat = b"42 (a) S 9 (b)) R 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2\n";
        assert_eq!(parse_stat(stat), Some(Origin { parent: Pid::from_raw(7), born: 12345 }));
        assert_eq!(parse_stat(b"42 (a"), None);
        assert!(is_alive(stat, 12345) && !is_alive(stat, 12344) && !is_alive(b"42 (a", 12345));
        let ended = b"42 (a) S 9 (b)) Z 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2\n";
        assert!(!is_alive(ended, 12345));
        assert_eq!((state(stat), state(ended), state(b"42 (a")), (Some(b'R'), Some(b'Z'), None));
        let own = origin(getpid()).unwrap();
        assert!(lives(getpid(), own.born) && !lives(getpid(), own.born + 1));
        assert_eq!(own.parent, getppid());
        assert!(own.born > 0);
        assert_eq!(user_of(getpid()), Some(nix::unistd::getuid().as_raw()));
    }
}
