//! Memory that an idle process would share with the processes that are forked from it (`MAP_SHARED | MAP_ANONYMOUS`), and the file in
//! which opcache locks bytes. A base zygote is such a process: the zygotes of different users are forked from it, and must not share
//! anything that one of them could write to.
//!
//! The process first makes each of these mappings private, at its address ([`PrivateCopy::make`]). So a child has a copy from the
//! moment of its fork on, and no process ever shares a page with the parent that can be written. The child then makes the mappings
//! shared again ([`PrivateCopy::share_again`]): from now on it shares them with its own children, as PHP expects. Whatever does not
//! look as expected is an [`Obstacle`], and nothing is guessed.

mod descriptors;
mod maps;

#[cfg(test)]
mod tests;

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;

use nix::sys::mman::{MRemapFlags, MapFlags, ProtFlags, mmap_anonymous, mprotect, mremap};
use nix::unistd::{SysconfVar, sysconf};

use super::failure::reason;
use super::own_memory::OwnMemory;
use super::single_threaded;
use descriptors::Lock;
pub use descriptors::OpenDescriptors;
use maps::{Access, Mapping};

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
    page: usize,
}

/// One area of memory that was shared.
#[derive(Debug)]
struct Area {
    range: Range<usize>,
    /// The mappings that it consists of, in order and without gaps.
    pieces: Vec<(Range<usize>, Access)>,
    /// The pages with content, as offsets from the start.
    filled: Vec<usize>,
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
            let copy = map(area.range.len(), MapFlags::MAP_PRIVATE)?;
            area.filled = area.copy_to(copy, &memory, page)?;
            if maps::swapped_out(&std::fs::read("/proc/self/smaps").of("/proc/self/smaps")?, &area.range) != Some(0) {
                return Err(Obstacle::SwappedOut);
            }
            // SAFETY: `copy` has the length and the content of the area: there is one thread, so nothing has written to it meanwhile.
            unsafe { area.replace_by(copy, false) }?;
        }
        Ok(Self { areas, lock, page })
    }

    /// In a child of the process that made it: the memory becomes shared with the processes that this one will fork, can be written
    /// as before, and the lock is a file of its own.
    ///
    /// # Errors
    /// The child must not go on.
    pub fn share_again(self) -> Result<(), Obstacle> {
        for area in &self.areas {
            let copy = map(area.range.len(), MapFlags::MAP_SHARED)?;
            for &offset in &area.filled {
                let from = std::ptr::with_exposed_provenance::<u8>(area.range.start + offset);
                // SAFETY: `filled` has offsets of whole pages inside the area, and so inside of `copy`.
                let to = unsafe { copy.cast::<u8>().add(offset) };
                // SAFETY: `make` has found the page readable, and has replaced the area by private memory, which stays mapped. `to`
                // is in a new mapping, so the pages do not overlap.
                unsafe { to.as_ptr().copy_from_nonoverlapping(from, self.page) };
            }
            // SAFETY: `copy` has the length of the area, and its content. Pages that are not in `filled` were zero, and the area was
            // write-protected since; `self` is used up, so this happens once.
            unsafe { area.replace_by(copy, true) }?;
        }
        self.lock.map_or(Ok(()), Lock::replace)
    }

    /// How many bytes a child copies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.areas.iter().map(|area| area.filled.len() * self.page).sum()
    }
}

/// Finds the areas of shared anonymous memory.
fn areas(maps: &[u8]) -> Result<Vec<Area>, Obstacle> {
    let mut areas: Vec<((Vec<u8>, u64), usize, Area)> = Vec::new();
    for mapping in maps::parse(maps).ok_or(Obstacle::Form)? {
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
                let area = Area { range: range.clone(), pieces: vec![(range, access)], filled: Vec::new() };
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
    /// Copies the pages with content, and returns their offsets. A page that was never written to is not touched: reading it would
    /// make the kernel allocate it.
    fn copy_to(&self, copy: NonNull<c_void>, memory: &OwnMemory, page: usize) -> Result<Vec<usize>, Obstacle> {
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
        let (mut filled, mut content) = (Vec::new(), vec![0u8; page]);
        for (index, _) in resident.iter().enumerate().filter(|(_, state)| **state & 1 == 1) {
            let offset = index * page;
            memory.read(self.range.start + offset, &mut content).of("process_vm_readv")?;
            if content.iter().any(|byte| *byte != 0) {
                // SAFETY: the offset is inside the area, and `copy` is as long as that.
                let to = unsafe { copy.cast::<u8>().add(offset) };
                // SAFETY: a page inside of `copy`, which was mapped for writing and which nothing else refers to yet.
                unsafe { to.as_ptr().copy_from_nonoverlapping(content.as_ptr(), page) };
                filled.push(offset);
            }
        }
        Ok(filled)
    }

    /// Puts another mapping at the place of the area, with the access of its pieces, or without the right to write.
    ///
    /// # Safety
    /// `copy` is a mapping of the area's length and content, and nothing refers into it.
    unsafe fn replace_by(&self, copy: NonNull<c_void>, writable: bool) -> Result<(), Obstacle> {
        let length = self.range.len();
        let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
        // SAFETY: `copy` may move, since nothing refers into it. What refers into the area finds the same bytes there.
        unsafe { mremap(copy, length, length, flags, Some(place(self.range.start)?)) }.of("mremap")?;
        for (range, access) in &self.pieces {
            let access = Access { write: access.write && writable, ..*access };
            // SAFETY: the range is a part of the area, which has just been mapped. It gets the access that it had before, or less:
            // then a write is a fault, which ends the process.
            unsafe { mprotect(place(range.start)?, range.len(), protection(access)) }.of("mprotect")?;
        }
        Ok(())
    }
}

fn place(address: usize) -> Result<NonNull<c_void>, Obstacle> {
    NonNull::new(std::ptr::with_exposed_provenance_mut(address)).ok_or(Obstacle::Layout)
}

/// New anonymous memory of that many bytes, all zero. Like the memory of opcache, only what is used of it is allocated.
fn map(length: usize, kind: MapFlags) -> Result<NonNull<c_void>, Obstacle> {
    let length = NonZeroUsize::new(length).ok_or(Obstacle::Layout)?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses the address, so the mapping overlaps no other memory.
    unsafe { mmap_anonymous(None, length, access, kind | MapFlags::MAP_NORESERVE) }.of("mmap")
}

fn protection(access: Access) -> ProtFlags {
    let flags = [
        (access.read, ProtFlags::PROT_READ),
        (access.write, ProtFlags::PROT_WRITE),
        (access.execute, ProtFlags::PROT_EXEC),
    ];
    flags.into_iter().filter(|(set, _)| *set).fold(ProtFlags::PROT_NONE, |all, (_, flag)| all | flag)
}
