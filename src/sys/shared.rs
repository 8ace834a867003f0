//! Memory files (memfd_create(2)), and memory shared between processes: a sealed memfd that is mapped as 64-bit atomic words. No
//! process sees half a word, and no process can shrink the file under the others, who would get `SIGBUS`.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::ftruncate;

use super::failure::reason;

const WORD: usize = size_of::<AtomicU64>();

/// A mapping of atomic words. Unmapped on drop.
#[derive(Debug)]
pub struct Words {
    base: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the words are atomics, which any thread may use. The mapping stays until drop, which takes ownership.
unsafe impl Send for Words {}

/// Makes a memfd of `count` words, all zero, that can neither shrink nor grow (`F_SEAL_SHRINK`, `F_SEAL_GROW`).
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
pub fn create(name: &str, count: usize) -> io::Result<OwnedFd> {
    let fd = memory_file(name, MFdFlags::MFD_ALLOW_SEALING)?;
    let bytes = i64::try_from(count * WORD).map_err(io::Error::other)?;
    ftruncate(&fd, bytes)?;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL))?;
    Ok(fd)
}

/// Makes a memfd, close-on-exec (`MFD_CLOEXEC`). A file on disk cannot replace it: another process could truncate that.
///
/// # Errors
/// `EMFILE`, `ENOMEM`; with advice, `EPERM` or `ENOSYS` of a seccomp filter.
pub fn memory_file(name: &str, flags: MFdFlags) -> io::Result<OwnedFd> {
    memfd_create(name, MFdFlags::MFD_CLOEXEC | flags).map_err(|e| {
        let e = io::Error::from(e);
        let advice = match e.raw_os_error() {
            Some(libc::EPERM | libc::ENOSYS) => "; the kernel or a seccomp filter refuses it, but php-fpm needs it",
            _ => "",
        };
        io::Error::new(e.kind(), format!("memfd_create: {}{advice}", reason(&e)))
    })
}

impl Words {
    /// Maps a memfd of `create` (mmap(2), `MAP_SHARED`). Another process may have passed the descriptor, so size and seals are
    /// checked.
    ///
    /// # Errors
    /// `InvalidData`: the file is not sealed or has fewer than `count` words.
    pub fn map(fd: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        Self::map_as(fd, count, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)
    }

    fn map_as(fd: BorrowedFd<'_>, count: usize, protection: ProtFlags) -> io::Result<Self> {
        let seals = SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS)?);
        let size = usize::try_from(nix::sys::stat::fstat(fd)?.st_size).unwrap_or(0);
        let length = NonZeroUsize::new(count * WORD).filter(|l| l.get() <= size);
        let Some(length) = length.filter(|_| seals.contains(SealFlag::F_SEAL_SHRINK)) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a sealed scoreboard of the expected size"));
        };
        // SAFETY: the kernel chooses the address, so the mapping overlaps no other memory. F_SEAL_SHRINK, checked above, keeps its
        // pages backed.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd.as_fd(), 0) }?;
        Ok(Self { base: base.cast(), count })
    }

    /// The word at `index`, or the last one if there are fewer: a wrong index stays inside the mapping.
    #[must_use]
    pub fn word(&self, index: usize) -> &AtomicU64 {
        let index = index.min(self.count - 1);
        // SAFETY: `index` is below `count`, and `map` has mapped `count` words from `base` on.
        let word = unsafe { self.base.add(index) };
        // SAFETY: a page-aligned base plus a multiple of 8 is aligned. AtomicU64 is valid for each bit pattern, and other processes
        // change the words only while they are atomics here too.
        unsafe { word.as_ref() }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: `map` made the mapping with this length. `&mut self` proves that no word is borrowed.
        let _ = unsafe { munmap(self.base.cast(), self.count * WORD) };
    }
}

/// A mapping of the same words that this process cannot write to. Unmapped on drop.
#[derive(Debug)]
pub struct ReadOnlyWords(Words);

impl ReadOnlyWords {
    /// Maps a memfd of `create` (mmap(2), `PROT_READ`). A descriptor that is open for reading is enough.
    ///
    /// # Errors
    /// As `Words::map`.
    pub fn map(fd: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        Words::map_as(fd, count, ProtFlags::PROT_READ).map(Self)
    }

    /// The word at `index`, or the last one if there are fewer.
    #[must_use]
    pub fn read(&self, index: usize) -> u64 {
        // No reference leaves this type, so nothing tries to write to the pages. Only relaxed loads work on memory that is read-only.
        let value = self.0.word(index).load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        value
    }
}

/// How many words a memfd has.
///
/// # Errors
/// None in practice.
pub fn words_in(fd: BorrowedFd<'_>) -> io::Result<usize> {
    Ok(usize::try_from(nix::sys::stat::fstat(fd)?.st_size).unwrap_or(0) / WORD)
}

/// Opens a memfd once more, for reading only: a process that gets this descriptor cannot write to the file.
///
/// # Errors
/// There is no /proc; `EMFILE`.
pub fn read_only(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(std::fs::File::open(format!("/proc/self/fd/{}", fd.as_raw_fd()))?.into())
}

/// Makes a memfd with these bytes. Its offset is at the beginning.
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
pub fn file_of(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    use std::io::{Seek, Write};
    let mut file = std::fs::File::from(memory_file(name, MFdFlags::empty())?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// The whole content of a memfd, at most 64 MiB, wherever its offset is.
///
/// # Errors
/// Those of read.
pub fn content_of(fd: OwnedFd) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek};
    let mut file = std::fs::File::from(fd);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(64 << 20).read_to_end(&mut bytes)?;
    Ok(bytes)
}
