//! Reads memory of this process at addresses that may be stale. An address that is not mapped gives an error, not a fault.

use std::io::{self, IoSliceMut, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::{getpid, pipe2};

/// A reader of this process's memory.
#[derive(Debug)]
pub struct OwnMemory {
    /// Used where `process_vm_readv` is refused, by the seccomp filter of a container or by gVisor. A write to a pipe makes the
    /// kernel copy the memory, and it answers `EFAULT` for an address that is not mapped.
    pipe: Option<(std::fs::File, OwnedFd)>,
}

/// Bytes that go through the pipe at once. The pipe must never be full.
const PIECE: usize = 4096;

impl OwnMemory {
    /// Tries `process_vm_readv`, and makes a pipe where that is refused.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn new() -> io::Result<Self> {
        let probe = [1u8];
        let direct = Self { pipe: None };
        if direct.read(probe.as_ptr() as usize, &mut [0u8]).is_ok() {
            return Ok(direct);
        }
        Self::by_pipe()
    }

    fn by_pipe() -> io::Result<Self> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Self { pipe: Some((read.into(), write)) })
    }

    /// Copies memory from that address on into `into`.
    ///
    /// # Errors
    /// `EFAULT`: not all of it is mapped.
    pub fn read(&self, address: usize, into: &mut [u8]) -> io::Result<()> {
        match &self.pipe {
            None => read_directly(address, into),
            Some((read, write)) => {
                let pieces = into.chunks_mut(PIECE).enumerate();
                pieces.map(|(i, piece)| (address.wrapping_add(i * PIECE), piece)).try_for_each(|(address, piece)| {
                    let count = write_from(write, address, piece.len())?;
                    let whole = count == piece.len();
                    let mut file = read;
                    file.read_exact(piece.get_mut(..count).unwrap_or_default())?;
                    if whole { Ok(()) } else { Err(Errno::EFAULT.into()) }
                })
            }
        }
    }
}

fn read_directly(address: usize, into: &mut [u8]) -> io::Result<()> {
    let remote = [RemoteIoVec { base: address, len: into.len() }];
    let length = into.len();
    let count = process_vm_readv(getpid(), &mut [IoSliceMut::new(into)], &remote)?;
    if count == length { Ok(()) } else { Err(Errno::EFAULT.into()) }
}

fn write_from(pipe: &OwnedFd, address: usize, length: usize) -> io::Result<usize> {
    // SAFETY: the address goes to the kernel alone, which copies what is mapped there and answers EFAULT for the rest. No reference
    // to the memory is made.
    let count = unsafe { libc::write(pipe.as_raw_fd(), address as *const libc::c_void, length) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways() -> [OwnMemory; 2] {
        [OwnMemory { pipe: None }, OwnMemory::by_pipe().unwrap()]
    }

    #[test]
    fn both_ways_read_what_is_there() {
        let text: Vec<u8> = (0..10_000u32).map(|n| n.to_le_bytes()[0]).collect();
        for memory in ways() {
            let mut copy = vec![0; text.len()];
            memory.read(text.as_ptr() as usize, &mut copy).unwrap();
            assert_eq!(copy, text);
        }
    }

    #[test]
    fn wrong_addresses_are_errors_and_the_next_read_succeeds() {
        let word = 7u64;
        for memory in ways() {
            for address in [0, 8, usize::MAX - 7, 0xffff_8000_0000_0000] {
                assert!(memory.read(address, &mut [0; 8]).is_err(), "{address:#x}");
                let mut copy = [0; 8];
                memory.read((&raw const word) as usize, &mut copy).unwrap();
                assert_eq!(u64::from_ne_bytes(copy), 7);
            }
        }
    }

    #[test]
    fn a_range_that_is_mapped_in_part_is_an_error() {
        // The last page of a program's address space is never mapped.
        let [direct, piped] = ways();
        let edge = 0x7fff_ffff_f000 - 4;
        assert!(direct.read(edge, &mut [0; 16]).is_err());
        assert!(piped.read(edge, &mut [0; 16]).is_err());
    }
}
