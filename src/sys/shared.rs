//! Memory shared between processes: a sealed memfd seen as 64-bit atomic words, so that no reader can be torn or crashed.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

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

// SAFETY: the words are atomics, and the mapping stays until drop, which needs ownership.
unsafe impl Send for Words {}

/// A memfd of `count` zero words that can be neither shrunk nor grown: truncating it would kill its readers by SIGBUS.
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

/// A file in memory. There is nothing to take in its place: a file that somebody can truncate would kill its readers.
///
/// # Errors
/// `EMFILE`, `ENOMEM`; `EPERM` or `ENOSYS` under a filter, with advice.
pub fn memory_file(name: &str, flags: MFdFlags) -> io::Result<OwnedFd> {
    memfd_create(name, MFdFlags::MFD_CLOEXEC | flags).map_err(|e| {
        let e = io::Error::from(e);
        let advice = match e.raw_os_error() {
            Some(libc::EPERM | libc::ENOSYS) => "; the kernel or a seccomp filter doesn't allow it, and it is needed",
            _ => "",
        };
        io::Error::new(e.kind(), format!("memfd_create: {}{advice}", reason(&e)))
    })
}

impl Words {
    /// Maps a descriptor of `create`. The size and the seals are looked at, not believed.
    ///
    /// # Errors
    /// `InvalidData` when the file isn't sealed or smaller than `count` words.
    pub fn map(fd: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        let seals = SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS)?);
        let size = usize::try_from(nix::sys::stat::fstat(fd)?.st_size).unwrap_or(0);
        let length = NonZeroUsize::new(count * WORD).filter(|l| l.get() <= size);
        let Some(length) = length.filter(|_| seals.contains(SealFlag::F_SEAL_SHRINK)) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a sealed scoreboard of the expected size"));
        };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing; the seal keeps it backed for its life.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd.as_fd(), 0) }?;
        Ok(Self { base: base.cast(), count })
    }

    /// The word at `index`; the last one when there is none such, so that a wrong index harms nobody else's memory.
    #[must_use]
    pub fn word(&self, index: usize) -> &AtomicU64 {
        let index = index.min(self.count - 1);
        // SAFETY: index < count, and `count` words are mapped.
        let word = unsafe { self.base.add(index) };
        // SAFETY: page-aligned base plus a multiple of 8; an AtomicU64 is valid for every bit pattern and for concurrent access.
        unsafe { word.as_ref() }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and `&mut self` proves that no word is borrowed.
        let _ = unsafe { munmap(self.base.cast(), self.count * WORD) };
    }
}

/// A memfd with these bytes, read from its beginning by whoever adopts it.
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

/// The whole content of such a memfd, wherever its offset stands; at most 64 MiB.
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
