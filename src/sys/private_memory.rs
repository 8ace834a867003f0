//! The memory that only this process uses. The resident pages in `/proc/self/statm` include those that a process shares with the one
//! that has forked it; this file does not.
#![forbid(unsafe_code)]

use super::proc_file;

/// In bytes. `None`: there is no /proc, or the kernel does not tell.
#[must_use]
pub fn of_this_process() -> Option<u64> {
    private(&String::from_utf8(proc_file::read("/proc/self/smaps_rollup").ok()?).ok()?)
}

/// The sum of the private pages, of which the kernel tells clean and dirty ones apart.
fn private(rollup: &str) -> Option<u64> {
    let kilobytes = |name: &str| -> Option<u64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim_end().parse().ok()
    };
    kilobytes("Private_Clean:")?.checked_add(kilobytes("Private_Dirty:")?)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:    9000 kB\nPss:    3000 kB\nPss_Anon:  7 kB\n\
        Shared_Clean:  4000 kB\nShared_Dirty:   500 kB\nPrivate_Clean:    12 kB\nPrivate_Dirty:  1500 kB\nReferenced:  1 kB\n";

    #[test]
    fn private_pages_are_counted() {
        assert_eq!(private(ROLLUP), Some(1512 * 1024));
        assert_eq!(private("Private_Clean: 1 kB\n"), None);
        assert_eq!(private(&ROLLUP.replace("1500", "x")), None);
        assert_eq!(private(""), None);
    }

    #[test]
    fn this_process_uses_memory() {
        let more = vec![1_u8; 8 << 20];
        let bytes = of_this_process().unwrap();
        assert!(bytes >= 8 << 20 && more.iter().all(|byte| *byte == 1), "{bytes}");
    }
}
