//! Memory that an idle process would share with the processes that are forked from it (`MAP_SHARED | MAP_ANONYMOUS`), and the file in
//! which opcache locks bytes. A base zygote is such a process: the zygotes of different users are forked from it, and must not share
//! anything that one of them could write to.
//!
//! The process first copies each of these mappings to a sealed memfd, and maps that at its address, privately and for reading only
//! ([`PrivateCopy::make`]). So no process ever shares a page with the parent that can be written. Each child then copies the memfd to
//! one of its own, and maps that at the address ([`PrivateCopy::share_again`]): from now on it shares it with its own children, as PHP
//! expects. The kernel copies from file to file, and a fork has no pages of the mappings to copy, so a child takes less time than
//! with private pages. Whatever does not look as expected is an [`Obstacle`], and nothing is guessed.

mod descriptors;

#[cfg(test)]
mod tests;

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::MFdFlags;
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::unistd::{SysconfVar, Whence, lseek, sysconf};

use super::failure::reason;
use super::mappings::{self, Access, Mapping};
use super::own_memory::OwnMemory;
use super::{shared, single_threaded};
use descriptors::Lock;
pub use descriptors::OpenDescriptors;

/// Why the memory of this process cannot be copied for its children.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// `/proc` does not tell, or the process has several threads.
    #[error("it has {} threads", .0.map_or_else(|| "an unknown number of".to_owned(), |count| count.to_string()))]
    Threads(Option<u64>),
    /// `/proc/self/maps` has a line of an unknown form.
    #[error("the list of its memory mappings has an unknown form")]
    Form,
    /// A mapping that is not anonymous is shared and can be written to.
    #[error("it shares memory that is not anonymous: {0}")]
    SharedFile(String),
    /// Two mappings show the same memory, or a part of the memory is not mapped, or it cannot be read.
    #[error("it has mapped shared memory in an unknown way")]
    Layout,
    /// The kernel does not tell which pages of shared memory have content if they are swapped out.
    #[error("shared memory of it is swapped out")]
    SwappedOut,
    /// A descriptor was opened which is no lock file.
    #[error("it has opened {0}")]
    Descriptor(String),
    /// A system call has failed.
    #[error("{call}: {}", reason(source))]
    System {
        /// The call.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Says which call has failed.
trait System<T> {
    fn of(self, call: &'static str) -> Result<T, Obstacle>;
}

impl<T, E: Into<io::Error>> System<T> for Result<T, E> {
    fn of(self, call: &'static str) -> Result<T, Obstacle> {
        self.map_err(|e| Obstacle::System { call, source: e.into() })
    }
}

/// Memory and lock that this process has made its own.
#[derive(Debug)]
pub struct PrivateCopy {
    areas: Vec<Area>,
    lock: Option<Lock>,
}

/// Where a child's copies are.
#[derive(Debug)]
pub struct CopiedPages(Vec<Range<usize>>);

impl CopiedPages {
    /// Maps them all at once (`MADV_POPULATE_READ`, Linux 5.14), so that they count as memory of this process. Until then those are
    /// mapped that were used.
    pub fn map(self) {
        for part in self.0 {
            let start = std::ptr::with_exposed_provenance_mut::<c_void>(part.start);
            // SAFETY: `share_again` has mapped these addresses. The call changes no content.
            unsafe { libc::madvise(start, part.len(), libc::MADV_POPULATE_READ) };
        }
    }
}

/// One area of memory that was shared.
#[derive(Debug)]
struct Area {
    range: Range<usize>,
    /// The mappings that it consists of, in order and without gaps.
    pieces: Vec<(Range<usize>, Access)>,
    /// Their content, sealed against changes. `None` until it is copied.
    content: Option<File>,
    /// The parts with content, as offsets from the start.
    filled: Vec<Range<usize>>,
}

impl PrivateCopy {
    /// Makes shared anonymous memory private, at its address and with its content, and write-protects it until `share_again`: a
    /// write ends the process. `before` has the descriptors from before the memory was mapped; those that were opened since are
    /// looked at, too. Other processes that share the memory keep it, and see nothing of this one from now on. After an error some
    /// of the memory may be private; the process should end.
    ///
    /// # Errors
    /// Something does not look as expected.
    pub fn make(before: &OpenDescriptors) -> Result<Self, Obstacle> {
        let threads = single_threaded::count();
        if threads != Some(1) {
            return Err(Obstacle::Threads(threads));
        }
        let page = sysconf(SysconfVar::PAGE_SIZE).of("sysconf")?.and_then(|size| usize::try_from(size).ok());
        let page = page.filter(|size| size.is_power_of_two()).ok_or(Obstacle::Layout)?;
        let lock = before.lock_since()?;
        let mut areas = areas(&std::fs::read("/proc/self/maps").of("/proc/self/maps")?)?;
        let memory = OwnMemory::new().of("process_vm_readv")?;
        for area in &mut areas {
            let copy = area.new_file()?;
            area.copy_to(&copy, &memory, page)?;
            let smaps = std::fs::read("/proc/self/smaps").of("/proc/self/smaps")?;
            if mappings::swapped_out(&smaps, &area.range) != Some(0) {
                return Err(Obstacle::SwappedOut);
            }
            let seals =
                SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
            fcntl(&copy, FcntlArg::F_ADD_SEALS(seals)).of("fcntl")?;
            // SAFETY: `copy` has the length and the content of the area: there is one thread, so nothing has written to it meanwhile.
            unsafe { area.replace_by(copy.as_fd(), MapFlags::MAP_PRIVATE) }?;
            area.content = Some(copy);
        }
        Ok(Self { areas, lock })
    }

    /// In a child of the process that made it: the memory becomes shared with the processes that this one will fork, can be written
    /// as before, and the lock is a file of its own.
    ///
    /// # Errors
    /// The child must not go on.
    pub fn share_again(self) -> Result<CopiedPages, Obstacle> {
        let mut copied = Vec::new();
        for area in &self.areas {
            let Some(content) = &area.content else { return Err(Obstacle::Layout) };
            let copy = area.new_file()?;
            area.filled.iter().try_for_each(|part| copy_part(content, &copy, part.clone()))?;
            // SAFETY: `copy` has the length of the area, and its content: `make` has filled and sealed that file, and the area could not
            // be written to since. `self` is used up, so this happens once.
            unsafe { area.replace_by(copy.as_fd(), MapFlags::MAP_SHARED) }?;
            copied.extend(area.filled.iter().map(|part| area.range.start + part.start..area.range.start + part.end));
        }
        self.lock.map_or(Ok(()), Lock::replace)?;
        Ok(CopiedPages(copied))
    }

    /// How many bytes a child copies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.areas.iter().flat_map(|area| &area.filled).map(ExactSizeIterator::len).sum()
    }
}

/// Finds the areas of shared anonymous memory.
fn areas(maps: &[u8]) -> Result<Vec<Area>, Obstacle> {
    let mut areas: Vec<((Vec<u8>, u64), usize, Area)> = Vec::new();
    for mapping in mappings::parse(maps).ok_or(Obstacle::Form)? {
        if !mapping.is_shared_anonymous() {
            if mapping.shared && mapping.access.write {
                return Err(Obstacle::SharedFile(String::from_utf8_lossy(&mapping.path).into_owned()));
            }
            continue;
        }
        let Mapping { range, access, offset, file, .. } = mapping;
        if !access.read {
            return Err(Obstacle::Layout);
        }
        match areas.iter_mut().find(|(known, ..)| *known == file) {
            None => {
                let pieces = vec![(range.clone(), access)];
                let area = Area { range, pieces, content: None, filled: Vec::new() };
                areas.push((file, offset, area));
            }
            Some((_, first, area)) if area.range.end == range.start && *first + area.range.len() == offset => {
                area.range.end = range.end;
                area.pieces.push((range, access));
            }
            Some(_) => return Err(Obstacle::Layout),
        }
    }
    Ok(areas.into_iter().map(|(.., area)| area).collect())
}

impl Area {
    /// An empty file of the area's length. Like the memory of opcache, only what is used of it is allocated.
    fn new_file(&self) -> Result<File, Obstacle> {
        let file = File::from(shared::memory_file("shared_memory", MFdFlags::MFD_ALLOW_SEALING).of("memfd_create")?);
        file.set_len(self.range.len() as u64).of("ftruncate")?;
        Ok(file)
    }

    /// Copies the pages with content, and notes where they are. A page that was never written to is not touched: reading it would make
    /// the kernel allocate it.
    fn copy_to(&mut self, copy: &File, memory: &OwnMemory, page: usize) -> Result<(), Obstacle> {
        if !self.range.start.is_multiple_of(page) || !self.range.len().is_multiple_of(page) {
            return Err(Obstacle::Layout);
        }
        let mut resident = vec![0u8; self.range.len() / page];
        let start = std::ptr::without_provenance_mut::<c_void>(self.range.start);
        // SAFETY: the kernel writes one byte for each page of the range, for which `resident` has room. It reads no memory.
        let done = unsafe { libc::mincore(start, self.range.len(), resident.as_mut_ptr()) };
        if done < 0 {
            return Err(io::Error::last_os_error()).of("mincore");
        }
        let mut content = vec![0u8; page];
        for (index, _) in resident.iter().enumerate().filter(|(_, state)| **state & 1 == 1) {
            let offset = index * page;
            memory.read(self.range.start + offset, &mut content).of("process_vm_readv")?;
            if content.iter().any(|byte| *byte != 0) {
                copy.write_all_at(&content, offset as u64).of("pwrite")?;
                match self.filled.last_mut() {
                    Some(part) if part.end == offset => part.end += page,
                    _ => self.filled.push(offset..offset + page),
                }
            }
        }
        Ok(())
    }

    /// Maps a file at the place of the area: shared, with the access of its pieces, or private, without the right to write. Then a
    /// write is a fault, which ends the process.
    ///
    /// # Safety
    /// The file has the area's length and content.
    unsafe fn replace_by(&self, file: BorrowedFd<'_>, kind: MapFlags) -> Result<(), Obstacle> {
        let writable = kind.contains(MapFlags::MAP_SHARED);
        for (range, access) in &self.pieces {
            let length = NonZeroUsize::new(range.len()).ok_or(Obstacle::Layout)?;
            let access = protection(Access { write: access.write && writable, ..*access });
            let offset = i64::try_from(range.start - self.range.start).map_err(|_| Obstacle::Layout)?;
            let flags = kind | MapFlags::MAP_FIXED | MapFlags::MAP_NORESERVE;
            // SAFETY: the range is a part of the area, which `areas` has found to be mapped. What refers into it finds the same bytes
            // there, with the access that they had before, or less.
            unsafe { mmap(NonZeroUsize::new(range.start), length, access, flags, file, offset) }.of("mmap")?;
        }
        Ok(())
    }
}

/// Copies a part of a file to the same place of another one (sendfile(2)).
fn copy_part(from: &File, to: &File, part: Range<usize>) -> Result<(), Obstacle> {
    let mut offset = i64::try_from(part.start).map_err(|_| Obstacle::Layout)?;
    let end = i64::try_from(part.end).map_err(|_| Obstacle::Layout)?;
    lseek(to, offset, Whence::SeekSet).of("lseek")?;
    while let left @ 1.. = usize::try_from(end - offset).unwrap_or(0) {
        // SAFETY: the kernel copies between files, and touches no memory of this process but `offset`.
        let copied = unsafe { libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), &raw mut offset, left) };
        match copied {
            1.. => {}
            0 => return Err(Obstacle::Layout),
            _ => return Err(io::Error::last_os_error()).of("sendfile"),
        }
    }
    Ok(())
}

fn protection(access: Access) -> ProtFlags {
    let flags = [
        (access.read, ProtFlags::PROT_READ),
        (access.write, ProtFlags::PROT_WRITE),
        (access.execute, ProtFlags::PROT_EXEC),
    ];
    flags.into_iter().filter(|(set, _)| *set).fold(ProtFlags::PROT_NONE, |all, (_, flag)| all | flag)
}
