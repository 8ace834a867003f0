//! The list of this process's memory mappings (`/proc/self/maps`, `/proc/self/smaps`, proc_pid_maps(5)). Only what is understood
//! completely is accepted; names of files need not be UTF-8.
#![forbid(unsafe_code)]

use std::ops::Range;

/// How the kernel names memory that was mapped with `MAP_SHARED | MAP_ANONYMOUS`.
const ANONYMOUS: &[u8] = b"/dev/zero (deleted)";

/// What the pages of a mapping may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) execute: bool,
}

/// One mapping: pages that follow each other, with one kind of access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) range: Range<usize>,
    pub(super) access: Access,
    /// `MAP_SHARED`
    pub(super) shared: bool,
    /// Where it begins in its file, in bytes.
    pub(super) offset: usize,
    /// Device, as the kernel writes it, and inode. They distinguish areas of shared anonymous memory, too.
    pub(super) file: (Vec<u8>, u64),
    /// The file's path as the kernel writes it; empty for private anonymous memory.
    pub(super) path: Vec<u8>,
}

impl Mapping {
    /// Whether it is shared memory without a file: processes that were forked from this one share its pages.
    pub(super) fn is_shared_anonymous(&self) -> bool {
        self.shared && self.path == ANONYMOUS
    }
}

/// Reads the whole list. `None`: a line is not in the expected form.
pub(super) fn parse(maps: &[u8]) -> Option<Vec<Mapping>> {
    lines(maps).map(mapping).collect()
}

/// The bytes of the area that are swapped out, from `/proc/self/smaps`. `None`: it does not tell for each of its mappings.
pub(super) fn swapped_out(smaps: &[u8], area: &Range<usize>) -> Option<u64> {
    let (mut sum, mut covered, mut within) = (0, 0, false);
    for line in lines(smaps) {
        if let Some(mapping) = mapping(line) {
            // A mapping before has told nothing.
            if within {
                return None;
            }
            within = area.start <= mapping.range.start && mapping.range.end <= area.end;
            covered += if within { mapping.range.len() } else { 0 };
        } else if within && let Some(amount) = line.strip_prefix(b"Swap:") {
            let kilobytes = std::str::from_utf8(amount).ok()?.trim().strip_suffix(" kB")?;
            sum += kilobytes.parse::<u64>().ok()? * 1024;
            within = false;
        }
    }
    (!within && covered == area.len()).then_some(sum)
}

/// Where programs and libraries are mapped of which this process has changed no page, from `/proc/self/smaps`: dropping such a page
/// loses nothing. A changed page that is swapped out no longer counts as anonymous.
pub(super) fn unchanged_files(smaps: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut candidate) = (Vec::new(), None);
    for line in lines(smaps) {
        if let Some(mapping) = mapping(line) {
            let Access { read, write, .. } = mapping.access;
            let is_file = mapping.path.starts_with(b"/") && !mapping.shared && read && !write;
            candidate = is_file.then_some((mapping.range, false));
        } else if let Some(amount) = line.strip_prefix(b"Anonymous:") {
            let none = amount.trim_ascii() == b"0 kB";
            candidate = candidate.filter(|_| none).map(|(range, _)| (range, true));
        } else if let Some(amount) = line.strip_prefix(b"Swap:") {
            let unchanged = candidate.take().filter(|(_, none)| *none && amount.trim_ascii() == b"0 kB");
            found.extend(unchanged.map(|(range, _)| range));
        }
    }
    found
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// One line: `7f0000000000-7f0000001000 rw-s 00000000 00:01 1033   /dev/zero (deleted)`.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let (mut fields, mut rest) = ([&[][..]; 5], line);
    for field in &mut fields {
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        (*field, rest) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    }
    let [range, access, offset, device, inode] = fields;
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let range = hexadecimal(&range[..dash])?..hexadecimal(&range[dash + 1..])?;
    let (access, shared) = flags(access)?;
    let inode = std::str::from_utf8(inode).ok()?.parse().ok()?;
    if range.is_empty() || !device.contains(&b':') {
        return None;
    }
    let path = rest.iter().position(|byte| *byte != b' ').map_or(&[][..], |start| &rest[start..]);
    Some(Mapping {
        range,
        access,
        shared,
        offset: hexadecimal(offset)?,
        file: (device.to_vec(), inode),
        path: path.to_vec(),
    })
}

fn hexadecimal(text: &[u8]) -> Option<usize> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    digits.then(|| usize::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()).flatten()
}

fn flags(text: &[u8]) -> Option<(Access, bool)> {
    let [read, write, execute, kind] = *<&[u8; 4]>::try_from(text).ok()?;
    let flag = |byte: u8, set: u8| match byte {
        b'-' => Some(false),
        byte => (byte == set).then_some(true),
    };
    let access = Access { read: flag(read, b'r')?, write: flag(write, b'w')?, execute: flag(execute, b'x')? };
    let shared = match kind {
        b's' => true,
        b'p' => false,
        _ => return None,
    };
    Some((access, shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"55d0c8a00000-55d0c8a28000 r--p 00000000 fd:00 131 /usr/bin/php-cgi8.2\n\
        7f0000000000-7f0000001000 rw-s 00000000 00:01 1033                       /dev/zero (deleted)\n\
        7f0000001000-7f0000003000 r-xs 00001000 00:01 1033                       /dev/zero (deleted)\n\
        7f0000003000-7f0000004000 rw-p 00000000 00:00 0 \n\
        7f0000004000-7f0000005000 rw-s 00000000 fd:00 7                          /tmp/\xff a\\012b\n";

    #[test]
    fn mappings_are_read_with_names_of_any_bytes() {
        let maps = parse(MAPS).unwrap();
        assert_eq!(maps.len(), 5);
        let shared: Vec<bool> = maps.iter().map(Mapping::is_shared_anonymous).collect();
        assert_eq!(shared, [false, true, true, false, false]);
        assert_eq!(maps[2].range, 0x7f00_0000_1000..0x7f00_0000_3000);
        assert_eq!((maps[2].offset, maps[2].file.1), (0x1000, 1033));
        assert_eq!(maps[2].access, Access { read: true, write: false, execute: true });
        assert!(maps[3].path.is_empty() && !maps[3].shared);
        assert_eq!(maps[4].path, b"/tmp/\xff a\\012b");
        assert!(maps[4].shared && maps[4].access.write);
    }

    #[test]
    fn a_line_of_another_form_is_refused() {
        for wrong in [
            &b"7f00-7f10 rw-s 0 00:01 x /dev/zero (deleted)"[..],
            b"7f00-7f10 rw-z 0 00:01 1 /dev/zero (deleted)",
            b"7f00-7f10 rw-ss 0 00:01 1",
            b"7f10-7f00 rw-s 0 00:01 1",
            b"7f00-7f10 rw-s 0 0001 1",
            b"+7f00-7f10 rw-s 0 00:01 1",
            b"7f00 rw-s 0 00:01 1",
            b"7f00-7f10",
        ] {
            assert_eq!(parse(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn files_without_changed_pages_are_found() {
        let smaps =
            b"7f00-7f10 r-xp 0 fd:00 9 /lib/a.so\nRss: 8 kB\nAnonymous:             0 kB\nSwap: 0 kB\nVmFlags: rd ex\n\
            7f10-7f20 r--p 0 fd:00 9 /lib/a.so\nRss: 8 kB\nAnonymous:             4 kB\nSwap: 0 kB\n\
            7f20-7f30 rw-p 0 fd:00 9 /lib/a.so\nAnonymous:             0 kB\nSwap: 0 kB\n\
            7f30-7f40 r--s 0 fd:00 9 /lib/a.so\nAnonymous:             0 kB\nSwap: 0 kB\n\
            7f40-7f50 r--p 0 00:00 0 [vvar]\nAnonymous:             0 kB\nSwap: 0 kB\n\
            7f50-7f60 r--p 0 00:00 0\nAnonymous:             0 kB\nSwap: 0 kB\n\
            7f60-7f70 r--p 0 fd:00 9 /lib/silent.so\nRss: 8 kB\nSwap: 0 kB\n\
            7f70-7f80 r--p 0 fd:00 9 /lib/b.so\nAnonymous:  0 kB\nSwap:   0 kB\n\
            7f80-7f90 r--p 0 fd:00 9 /lib/swapped.so\nAnonymous:  0 kB\nSwap:   4 kB\nSwapPss:   4 kB\n";
        assert_eq!(unchanged_files(smaps), [0x7f00..0x7f10, 0x7f70..0x7f80]);
    }

    #[test]
    fn swapped_out_memory_is_told_for_the_whole_area_or_not_at_all() {
        let smaps = b"7f00-7f10 rw-s 0 00:01 9 /dev/zero (deleted)\nRss: 4 kB\nSwap:   8 kB\nSwapPss: 1 kB\n\
            7f10-7f30 r--s 10 00:01 9 /dev/zero (deleted)\nSwap: 4 kB\nVmFlags: rd\n\
            7f30-7f40 rw-p 0 00:00 0 \nSwap: 64 kB\n";
        assert_eq!(swapped_out(smaps, &(0x7f00..0x7f30)), Some(12 * 1024));
        assert_eq!(swapped_out(smaps, &(0x7f00..0x7f10)), Some(8 * 1024));
        assert_eq!(swapped_out(smaps, &(0x7e00..0x7f30)), None, "not all of it is there");
        let silent =
            b"7f00-7f10 rw-s 0 00:01 9 /dev/zero (deleted)\nRss: 4 kB\n7f10-7f20 rw-s 0 00:01 9 /x\nSwap: 0 kB\n";
        assert_eq!(swapped_out(silent, &(0x7f00..0x7f20)), None);
        assert_eq!(swapped_out(&silent[..60], &(0x7f00..0x7f10)), None);
    }
}
