//! File descriptors: their numbers, their flags, and the standard streams. [`super::inherited`] takes descriptors over by number.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Close-on-exec on or off (`FD_CLOEXEC`).
///
/// # Errors
/// That of fcntl.
pub fn set_cloexec(fd: impl AsFd, on: bool) -> io::Result<()> {
    let flags = if on { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// `O_NONBLOCK` on or off. The flag belongs to the open file description, so it changes for all processes that share that.
///
/// # Errors
/// That of fcntl.
pub fn set_nonblocking(fd: impl AsFd, on: bool) -> io::Result<()> {
    let old = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    let new = if on { old | OFlag::O_NONBLOCK } else { old - OFlag::O_NONBLOCK };
    if new != old {
        fcntl(fd, FcntlArg::F_SETFL(new))?;
    }
    Ok(())
}

/// A duplicate with the lowest free number from `least` on, close-on-exec (`F_DUPFD_CLOEXEC`).
///
/// # Errors
/// `EMFILE`; `EINVAL`: the limit of descriptors is below `least`.
pub fn dup_from(fd: impl AsFd, least: RawFd) -> io::Result<OwnedFd> {
    let raw = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: F_DUPFD_CLOEXEC has just made this descriptor, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A duplicate of the descriptor with that number, close-on-exec. The owner of the number keeps it. The number is one that the state
/// of this process names; with another one, the duplicate is of another file.
///
/// # Errors
/// `EBADF`, `EMFILE`.
pub fn duplicate(raw: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC looks the number up, changes nothing for its owner, and touches no memory.
    let copy = unsafe { libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: F_DUPFD_CLOEXEC has just made this descriptor, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Moves a descriptor to a number of at least 64. The low numbers stay free for files that are opened for a short time, which a
/// test of php-src expects there. The descriptor keeps its number where the limit of descriptors leaves no room.
#[must_use]
pub fn lift(fd: OwnedFd) -> OwnedFd {
    const LOWEST: RawFd = 64;
    if fd.as_raw_fd() >= LOWEST { fd } else { dup_from(&fd, LOWEST).unwrap_or(fd) }
}

/// How many descriptors this process has open.
///
/// # Errors
/// `EMFILE`; /proc is not mounted.
pub fn count_open() -> io::Result<u64> {
    const PLACE: &str = "/proc/self/fd";
    // Since Linux 6.2 the size of the directory is the number.
    match std::fs::metadata(PLACE)?.len() {
        0 => Ok(u64::try_from(std::fs::read_dir(PLACE)?.count()).unwrap_or(u64::MAX)),
        count => Ok(count),
    }
}

/// Device and inode of a descriptor's file. `None`: it is no regular file.
#[must_use]
pub fn file_mark(fd: impl AsFd) -> Option<(u64, u64)> {
    let stat = fstat(fd).ok()?;
    (SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG).then_some((stat.st_dev, stat.st_ino))
}

/// One of the three descriptors that no value owns. `daemon::fill_streams` opens those that are missing at the start, and nothing
/// closes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 0.
    Stdin,
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// Makes a standard stream a duplicate of `to` (dup2(2)). It stays open in a program that is executed.
///
/// # Errors
/// That of dup2.
pub fn redirect(stream: Stream, to: impl AsFd) -> io::Result<()> {
    match stream {
        Stream::Stdin => dup2_stdin(to)?,
        Stream::Stdout => dup2_stdout(to)?,
        Stream::Stderr => dup2_stderr(to)?,
    }
    Ok(())
}

/// Redirects all standard streams to `/dev/null`.
///
/// # Errors
/// Those of open and dup2.
pub fn drop_streams() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    [Stream::Stdin, Stream::Stdout, Stream::Stderr].into_iter().try_for_each(|stream| redirect(stream, &null))
}

/// Keeps that number open through the exec that follows (`FD_CLOEXEC` off). Safe for any number: the flag changes what exec does,
/// and nothing for the owner of the descriptor in this process.
///
/// # Errors
/// `EBADF`.
pub fn survive_exec(raw: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD changes a flag that only exec reads. The descriptor stays open for its owner, and no memory is touched.
    let done = unsafe { libc::fcntl(raw, libc::F_SETFD, 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The contrary of `survive_exec`, after an exec that failed.
pub fn leave_at_exec(raw: RawFd) {
    // SAFETY: F_SETFD changes a flag that only exec reads. The descriptor stays open for its owner, and no memory is touched.
    unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Marks every descriptor from `first` on close-on-exec (`CLOSE_RANGE_CLOEXEC`): what was inherited by accident goes no further.
pub fn close_on_exec_from(first: RawFd) {
    let from = libc::c_uint::try_from(first).unwrap_or(3);
    // SAFETY: with CLOSE_RANGE_CLOEXEC the call closes nothing. It sets a flag that only exec reads.
    let done = unsafe { libc::close_range(from, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if done < 0 {
        // Linux before 5.11 has no such flag, and the seccomp filter of an old container refuses the call.
        open_numbers().into_iter().filter(|&raw| raw >= first).for_each(leave_at_exec);
    }
}

/// Closes every descriptor from 3 on but these (`close_range`).
///
/// # Safety
/// Values in this process still own the descriptors. So it is a forked child that from now on uses and drops none but
/// those of `keep`, and that ends by `process::exit_now`, which runs no destructors.
pub unsafe fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|raw| *raw > 2).collect();
    keep.sort_unstable();
    keep.dedup();
    let (mut first, mut refused) = (3, false);
    for next in keep.iter().copied().chain([RawFd::MAX]) {
        if first < next {
            let [from, to] = [first, next - 1].map(|raw| libc::c_uint::try_from(raw).unwrap_or(libc::c_uint::MAX));
            // SAFETY: the caller vouches that nothing in this process uses or drops the descriptors of this range again.
            refused |= unsafe { libc::close_range(from, to, 0) } < 0;
        }
        first = next.saturating_add(1);
    }
    if refused {
        for raw in open_numbers().into_iter().filter(|raw| *raw > 2 && !keep.contains(raw)) {
            // SAFETY: the caller vouches that nothing in this process uses or drops the descriptor again.
            unsafe { libc::close(raw) };
        }
    }
}

/// The numbers of all descriptors that are open, from `/proc/self/fd`. Where that is missing, all numbers that may be.
pub(super) fn open_numbers() -> Vec<RawFd> {
    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.filter_map(number).collect(),
        Err(_) => (0..MOST_NUMBERS).collect(),
    }
}

/// How many descriptors are looked for one by one.
const MOST_NUMBERS: RawFd = 65_536;

/// The path without symbolic links and dots. The second way works where the seccomp filter of an old container refuses a call that
/// libc's realpath makes.
///
/// # Errors
/// Those of open.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(path).or_else(|_| {
        let there = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        std::fs::read_link(format!("/proc/self/fd/{}", there.as_raw_fd()))
    })
}

/// The number of the standard stream that a path names, if it names one. Such a path is not opened: that fails where the stream
/// is a socket or another user's, and for a file it gives a position of its own.
#[must_use]
pub fn standard_stream(path: &Path) -> Option<RawFd> {
    match path.to_str()? {
        "/proc/self/fd/1" | "/dev/stdout" | "/dev/fd/1" => Some(1),
        "/proc/self/fd/2" | "/dev/stderr" | "/dev/fd/2" => Some(2),
        _ => None,
    }
}
