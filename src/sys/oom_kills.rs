//! How often the kernel has killed a process because there was no memory left.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// The counter in that file: that of this process's control group (cgroups(7)), or that of the machine.
fn counter(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// The files that may have the counter, the narrowest first. `cgroup`: the text of /proc/self/cgroup.
fn files(cgroup: &str) -> Vec<PathBuf> {
    let below = |root: &str, path: &str| Path::new(root).join(path.trim_start_matches('/'));
    let of_group = cgroup.lines().filter_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, path) = line.split_once(':')?;
        match controllers {
            "" => Some(below("/sys/fs/cgroup", path).join("memory.events")),
            one if one.split(',').any(|one| one == "memory") => {
                Some(below("/sys/fs/cgroup/memory", path).join("memory.oom_control"))
            }
            _ => None,
        }
    });
    of_group.chain([PathBuf::from("/proc/vmstat")]).collect()
}

/// How many processes of this control group were killed so far; of the machine, if the group does not tell. 0: unknown.
#[must_use]
pub fn so_far() -> u64 {
    let files = files(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
    files.into_iter().find_map(|file| counter(&fs::read_to_string(file).ok()?)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_that_of_the_narrowest_group() {
        let paths = |text: &str| files(text).iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(paths("0::/php.slice\n"), ["/sys/fs/cgroup/php.slice/memory.events", "/proc/vmstat"]);
        let former = "5:cpu,cpuacct:/x\n3:memory:/docker/7\n";
        assert_eq!(paths(former), ["/sys/fs/cgroup/memory/docker/7/memory.oom_control", "/proc/vmstat"]);
        assert_eq!(paths("nonsense"), ["/proc/vmstat"]);
    }

    #[test]
    fn the_word_is_whole() {
        assert_eq!(counter("low 0\nhigh 0\noom 7\noom_kill 3\noom_group_kill 9\n"), Some(3));
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\n"), None);
        assert_eq!(counter(""), None);
    }
}
