//! File descriptors: where they stand, whether they survive exec, and taking one over by number.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::stat::{Mode, SFlag, fstat};

/// Takes over a descriptor that this process was given by number (at exec, by argv).
///
/// # Errors
/// `EBADF` when nothing is open there.
pub fn adopt(raw: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only looks the number up; it touches no memory.
    let flags = unsafe { libc::fcntl(raw, libc::F_GETFD) };
    if raw < 0 || flags < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the descriptor is open, and by the exec protocol of this crate nobody else in this fresh image owns it:
    // each number is named once in the state and adopted once.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    set_cloexec(&fd, true)?;
    Ok(fd)
}

/// Close-on-exec on or off.
///
/// # Errors
/// That of fcntl.
pub fn set_cloexec(fd: impl AsFd, on: bool) -> io::Result<()> {
    let flags = if on { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// O_NONBLOCK on or off. It belongs to the open file description: all processes that share it see the change.
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

/// A duplicate at the lowest free number that is at least `least`, close-on-exec.
///
/// # Errors
/// `EMFILE`, `EINVAL` where the descriptor limit is below `least`.
pub fn dup_from(fd: impl AsFd, least: RawFd) -> io::Result<OwnedFd> {
    let raw = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(least))?;
    // SAFETY: fcntl has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Moves a descriptor out of the low numbers, which belong to what comes and goes (php-src's test reads lsof by order).
/// Stays where it is when the limit leaves no room above.
#[must_use]
pub fn lift(fd: OwnedFd) -> OwnedFd {
    const SHELF: RawFd = 64;
    if fd.as_raw_fd() >= SHELF { fd } else { dup_from(&fd, SHELF).unwrap_or(fd) }
}

/// Which regular file stands behind a descriptor: device and inode. `None`: none does.
#[must_use]
pub fn file_mark(fd: impl AsFd) -> Option<(u64, u64)> {
    let stat = fstat(fd).ok()?;
    (SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG).then_some((stat.st_dev, stat.st_ino))
}

/// Makes `target` (0, 1, 2 or the number of a descriptor that this process owns) a duplicate of `source`.
///
/// # Errors
/// That of dup3.
pub fn replace(source: impl AsFd, target: RawFd, cloexec: bool) -> io::Result<()> {
    let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
    let source = source.as_fd().as_raw_fd();
    if source == target {
        return Ok(());
    }
    // SAFETY: dup3 takes two numbers; the caller owns what stands at `target` and keeps owning the number.
    let done = unsafe { libc::dup3(source, target, flags) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Keeps that number open through the exec that follows.
///
/// # Errors
/// `EBADF`.
pub fn survive_exec(raw: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD changes a flag of a number; it touches no memory and owns nothing.
    let done = unsafe { libc::fcntl(raw, libc::F_SETFD, 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Marks every descriptor from `first` on close-on-exec: what was inherited by accident goes no further.
pub fn close_on_exec_from(first: RawFd) {
    let from = libc::c_uint::try_from(first).unwrap_or(3);
    // SAFETY: the flag changes no ownership; descriptors stay open here.
    let done = unsafe { libc::close_range(from, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if done < 0 {
        // An old kernel has no such call, and an old container's filter refuses it.
        open_numbers().into_iter().filter(|&raw| raw >= first).for_each(leave_at_exec);
    }
}

/// Closes every descriptor from 3 on but these: in a child that ends by `exit_now`, whose owned descriptors drop no more.
pub fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|raw| *raw > 2).collect();
    keep.sort_unstable();
    keep.dedup();
    let (mut first, mut refused) = (3, false);
    for next in keep.iter().copied().chain([RawFd::MAX]) {
        if first < next {
            let [from, to] = [first, next - 1].map(|raw| libc::c_uint::try_from(raw).unwrap_or(libc::c_uint::MAX));
            // SAFETY: the caller is a child that will use none of these numbers again.
            refused |= unsafe { libc::close_range(from, to, 0) } < 0;
        }
        first = next.saturating_add(1);
    }
    if refused {
        for raw in open_numbers().into_iter().filter(|raw| *raw > 2 && !keep.contains(raw)) {
            // SAFETY: as above.
            unsafe { libc::close(raw) };
        }
    }
}

/// The numbers of all descriptors that are open; where /proc is missing, all that may be.
fn open_numbers() -> Vec<RawFd> {
    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.filter_map(number).collect(),
        Err(_) => (0..MOST_NUMBERS).collect(),
    }
}

/// How many descriptors are looked for one by one.
const MOST_NUMBERS: RawFd = 65_536;

/// The contrary of `survive_exec`, after an exec that failed.
pub fn leave_at_exec(raw: RawFd) {
    // SAFETY: as in `survive_exec`.
    unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// The path without links and dots. libc's own way to it takes a call that filters of old containers refuse.
///
/// # Errors
/// Those of open.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(path).or_else(|_| {
        let there = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        std::fs::read_link(format!("/proc/self/fd/{}", there.as_raw_fd()))
    })
}

/// Which of this process's standard streams a path names, if it names one. Opening these by name fails where they are
/// sockets or belong to another user; where they are files, it would lose the place in them that others have.
#[must_use]
pub fn standard_stream(path: &Path) -> Option<RawFd> {
    match path.to_str()? {
        "/proc/self/fd/1" | "/dev/stdout" | "/dev/fd/1" => Some(1),
        "/proc/self/fd/2" | "/dev/stderr" | "/dev/fd/2" => Some(2),
        _ => None,
    }
}
