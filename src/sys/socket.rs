//! Stream sockets: receive, send, wait with a deadline. A call that a signal interrupts (`EINTR`) is repeated.
#![forbid(unsafe_code)]

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, MsgFlags, Shutdown};

/// What a receive call found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// This number of bytes.
    Bytes(usize),
    /// No byte is there yet.
    Nothing,
    /// The peer has closed its side.
    End,
}

/// Receives what is there, without waiting (`MSG_DONTWAIT`). `into` must not be empty.
///
/// # Errors
/// The connection is broken.
pub fn receive(fd: impl AsFd, into: &mut [u8]) -> Result<Received, Errno> {
    let fd = fd.as_fd().as_raw_fd();
    received(repeat(|| socket::recv(fd, into, MsgFlags::MSG_DONTWAIT)))
}

/// Receives into one slice and then another, without waiting.
///
/// # Errors
/// The connection is broken.
pub fn receive_two(fd: impl AsFd, first: &mut [u8], second: &mut [u8]) -> Result<Received, Errno> {
    let fd = fd.as_fd().as_raw_fd();
    received(repeat(|| {
        let mut slices = [IoSliceMut::new(first), IoSliceMut::new(second)];
        socket::recvmsg::<()>(fd, &mut slices, None, MsgFlags::MSG_DONTWAIT).map(|message| message.bytes)
    }))
}

/// Sends all of `bytes`. With a limit, gives up when the peer receives nothing for that long.
///
/// # Errors
/// The peer has gone, or `ETIMEDOUT`.
pub fn send(fd: impl AsFd, bytes: &[u8], limit: Option<Duration>) -> Result<(), Errno> {
    send_all(fd.as_fd(), bytes, limit, MsgFlags::empty())
}

/// As `send`, but a part that does not fill a TCP segment stays in the kernel until `end_sending` is called (`MSG_MORE`): it then
/// leaves in one segment with the end of the connection. Call that at once.
///
/// # Errors
/// The peer has gone, or `ETIMEDOUT`.
pub fn send_last(fd: impl AsFd, bytes: &[u8], limit: Option<Duration>) -> Result<(), Errno> {
    send_all(fd.as_fd(), bytes, limit, MsgFlags::from_bits_retain(libc::MSG_MORE))
}

fn send_all(fd: BorrowedFd<'_>, mut bytes: &[u8], limit: Option<Duration>, more: MsgFlags) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match repeat(|| socket::send(fd.as_raw_fd(), bytes, send_flags(limit) | more)) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::EAGAIN) => await_room(fd, limit)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends all of `bytes` before the deadline.
///
/// # Errors
/// The peer has gone, or `ETIMEDOUT`.
pub fn send_until(fd: impl AsFd, mut bytes: &[u8], deadline: Instant) -> Result<(), Errno> {
    let fd = fd.as_fd();
    while !bytes.is_empty() {
        match repeat(|| socket::send(fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT)) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::EAGAIN) if wait(fd, PollFlags::POLLOUT, Some(deadline))? => {}
            Err(Errno::EAGAIN) => return Err(Errno::ETIMEDOUT),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends all bytes of several slices (sendmsg(2)), as `send` does.
///
/// # Errors
/// The peer has gone, or `ETIMEDOUT`.
pub fn send_gathered(fd: impl AsFd, mut slices: &mut [IoSlice<'_>], limit: Option<Duration>) -> Result<(), Errno> {
    let fd = fd.as_fd();
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match repeat(|| socket::sendmsg::<()>(fd.as_raw_fd(), slices, &[], send_flags(limit), None)) {
            Ok(count) => IoSlice::advance_slices(&mut slices, count),
            Err(Errno::EAGAIN) => await_room(fd, limit)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until there is something to receive or the peer has closed (poll(2)). False: the deadline passed first.
///
/// # Errors
/// poll failed.
pub fn await_input(fd: impl AsFd, deadline: Instant) -> Result<bool, Errno> {
    wait(fd.as_fd(), PollFlags::POLLIN, Some(deadline))
}

/// Whether there is something to receive or to accept, or the peer has closed. Not, if poll(2) fails.
#[must_use]
pub fn has_input(fd: impl AsFd) -> bool {
    input(fd) != Input::None
}

/// What there is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Bytes, or an error.
    Some,
    /// Nothing at the moment.
    None,
    /// All writers have closed a pipe, and it is empty.
    End,
}

/// Whether there is something to read from a pipe. Nothing, if poll(2) fails.
#[must_use]
pub fn input(pipe: impl AsFd) -> Input {
    let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    match poll(&mut polled, PollTimeout::ZERO) {
        Ok(1..) if polled[0].revents() == Some(PollFlags::POLLHUP) => Input::End,
        Ok(1..) => Input::Some,
        _ => Input::None,
    }
}

/// Whether one of several descriptors has something to receive, or its peer has closed.
#[must_use]
pub fn any_has_input<'a>(fds: impl Iterator<Item = BorrowedFd<'a>>) -> bool {
    let mut polled: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Waits for several descriptors and gives the index of the first that has something to receive. `None`: the deadline passed
/// first, or a signal arrived.
pub fn first_input<'a>(fds: impl Iterator<Item = BorrowedFd<'a>>, deadline: Instant) -> Option<usize> {
    let mut polled: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let patience = deadline.saturating_duration_since(Instant::now());
    let patience = PollTimeout::try_from(patience + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    poll(&mut polled, patience).ok()?;
    polled.iter().position(|fd| fd.any() == Some(true))
}

/// Tells the peer that nothing more will be sent (`SHUT_WR`).
///
/// # Errors
/// The peer has gone.
pub fn end_sending(fd: impl AsFd) -> Result<(), Errno> {
    socket::shutdown(fd.as_fd().as_raw_fd(), Shutdown::Write)
}

/// Ends a connection in both directions (`SHUT_RDWR`), also for other processes that have it open.
pub fn end(fd: impl AsFd) {
    let _ = socket::shutdown(fd.as_fd().as_raw_fd(), Shutdown::Both);
}

/// Without a limit, a blocking socket may block: then one call sends all.
fn send_flags(limit: Option<Duration>) -> MsgFlags {
    if limit.is_some() { MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT } else { MsgFlags::MSG_NOSIGNAL }
}

fn await_room(fd: BorrowedFd<'_>, limit: Option<Duration>) -> Result<(), Errno> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    if wait(fd, PollFlags::POLLOUT, deadline)? { Ok(()) } else { Err(Errno::ETIMEDOUT) }
}

fn wait(fd: BorrowedFd<'_>, events: PollFlags, deadline: Option<Instant>) -> Result<bool, Errno> {
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => milliseconds_until(deadline),
        };
        match poll(&mut [PollFd::new(fd, events)], timeout) {
            Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

/// Rounded up, so that a wait does not end just before its deadline and has to be repeated.
fn milliseconds_until(deadline: Instant) -> PollTimeout {
    let left = deadline.saturating_duration_since(Instant::now());
    PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}

fn repeat<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

fn received(result: Result<usize, Errno>) -> Result<Received, Errno> {
    match result {
        Ok(0) => Ok(Received::End),
        Ok(count) => Ok(Received::Bytes(count)),
        Err(Errno::EAGAIN) => Ok(Received::Nothing),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_pipe_comes_after_its_bytes() {
        let (reading, writing) = nix::unistd::pipe().unwrap();
        assert_eq!(input(&reading), Input::None);
        nix::unistd::write(&writing, b"a").unwrap();
        assert_eq!(input(&reading), Input::Some);
        drop(writing);
        assert_eq!(input(&reading), Input::Some);
        nix::unistd::read(&reading, &mut [0; 4]).unwrap();
        assert_eq!(input(&reading), Input::End);
    }
}
