//! A child that reads or closes pipes for the supervisor. It is ordered by messages, each with the pipe that it is about, so a
//! child that waits for a lock can be replaced at once.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};

use super::MOST;
use crate::sys::message::{self, Received};
use crate::sys::{fd, helper, idle_memory, proc_stat, process, title};

/// Orders to a reader.
const READ: &[u8] = b"r";
/// Only the lock is waited for; the answer is that of a read from an empty pipe.
const PROBE: &[u8] = b"p";
/// The pipe is kept until `CLOSE`.
const HOLD: &[u8] = b"h";
const CLOSE: &[u8] = b"c";

/// An answer is the result of read (a count, or an error number below 0), and the bytes. That to `CLOSE` is this number.
const CLOSED: i64 = i64::MIN;
const NUMBER: usize = size_of::<i64>();

/// How long a pipe is kept open before it is closed. Other children of the supervisor may have been forked before, and have the
/// pipe until they execute a program; the last one to close it may have to wait for the lock.
pub(super) const KEPT: Duration = Duration::from_secs(1);

/// How long a reader may take that waits in the kernel. A lock is held for some microseconds, and longer only if its holder
/// has lost the CPU meanwhile; then the answer is taken later.
const LIMIT: Duration = Duration::from_millis(10);
/// How long a reader may take that waits for the CPU.
const LONG_LIMIT: Duration = Duration::from_secs(1);

/// An answer of a reader.
#[derive(Debug)]
pub(super) enum Answer {
    /// The result of a read; the bytes are in the buffer.
    Read(io::Result<usize>),
    /// A pipe is closed.
    Closed,
    /// None yet.
    Nothing,
    /// The child has ended.
    Gone,
}

/// The child, as the supervisor has it. It exits when this is dropped, as soon as it waits for no lock.
#[derive(Debug)]
pub(super) struct Reader {
    socket: OwnedFd,
    pid: Pid,
}

impl Reader {
    /// Starts one.
    ///
    /// # Errors
    /// `EAGAIN`, `EMFILE`, `ENOMEM`.
    pub(super) fn start() -> io::Result<Self> {
        let (socket, theirs) = message::pair()?;
        let pid = helper::start([theirs.as_fd()], getpid(), serve)?;
        Ok(Self { socket, pid })
    }

    pub(super) fn order_read(&self, pipe: BorrowedFd<'_>) -> io::Result<()> {
        message::send(&self.socket, READ, &[pipe])
    }

    pub(super) fn order_probe(&self, pipe: BorrowedFd<'_>) -> io::Result<()> {
        message::send(&self.socket, PROBE, &[pipe])
    }

    pub(super) fn order_hold(&self, pipe: BorrowedFd<'_>) -> io::Result<()> {
        message::send(&self.socket, HOLD, &[pipe])
    }

    pub(super) fn order_close(&self) -> io::Result<()> {
        message::send(&self.socket, CLOSE, &[])
    }

    /// Waits for the next answer, as long as a reader may take.
    pub(super) fn wait(&self, buffer: &mut [u8]) -> Answer {
        let begun = Instant::now();
        loop {
            let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut polled, PollTimeout::from(5u8));
            let answer = self.look(buffer);
            let late = begun.elapsed() >= LIMIT && proc_stat::waits_in_kernel(self.pid);
            if !matches!(answer, Answer::Nothing) || late || begun.elapsed() >= LONG_LIMIT {
                return answer;
            }
        }
    }

    /// Takes an answer, if there is one.
    pub(super) fn look(&self, buffer: &mut [u8]) -> Answer {
        let mut answer = [0; NUMBER + MOST];
        let length = match message::receive(&self.socket, &mut answer) {
            Ok(Received::Message(length, _)) => length,
            Ok(Received::Nothing) => return Answer::Nothing,
            Ok(Received::Gone) | Err(_) => return Answer::Gone,
        };
        let Some((number, bytes)) = answer.get(..length).and_then(<[u8]>::split_first_chunk::<NUMBER>) else {
            return Answer::Gone;
        };
        match i64::from_ne_bytes(*number) {
            CLOSED => Answer::Closed,
            count => Answer::Read(result(count, bytes, buffer)),
        }
    }

    /// Ends it, as soon as it waits for no lock, before it does anything else.
    pub(super) fn kill(&self) {
        process::kill(self.pid, Signal::SIGKILL);
    }
}

fn result(count: i64, bytes: &[u8], buffer: &mut [u8]) -> io::Result<usize> {
    match usize::try_from(count) {
        Ok(count) => {
            let (from, to) = (bytes.get(..count), buffer.get_mut(..count));
            let both = from.zip(to).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
            both.1.copy_from_slice(both.0);
            Ok(count)
        }
        Err(_) => Err(io::Error::from_raw_os_error(i32::try_from(-count).unwrap_or(libc::EIO))),
    }
}

/// The child.
fn serve([socket]: [OwnedFd; 1], supervisor: Pid) {
    let tied = process::die_with_parent(Signal::SIGKILL);
    if tied.is_err() || getppid() != supervisor || fd::set_nonblocking(&socket, false).is_err() {
        return;
    }
    title::set("php-fpm: reads pipes");
    // The supervisor may not have left its standard streams yet, and the process that has started it waits for their end.
    let _ = fd::drop_streams();
    // What the supervisor has freed by now is a copy in this process as soon as the supervisor uses it again.
    idle_memory::release();
    let mut closing = Closing::default();
    while closing.close_due(&socket).is_ok() {
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut polled, closing.patience());
        let mut order = [0; 1];
        let pipe = match message::receive(&socket, &mut order) {
            Ok(Received::Message(_, mut fds)) => fds.pop(),
            // The table of descriptors was full: the kernel has closed the pipe already, in this process.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => None,
            Ok(Received::Nothing) => continue,
            Ok(Received::Gone) | Err(_) => return,
        };
        match (&order[..], pipe) {
            (READ, Some(pipe)) if read(&socket, &pipe).is_err() => return,
            (PROBE, Some(pipe)) if probe(&socket, &pipe).is_err() => return,
            (HOLD, pipe) => closing.held = pipe,
            (CLOSE, _) => closing.pipes.push_back((Instant::now() + KEPT, closing.held.take())),
            _ => {}
        }
    }
}

/// The pipes that are to be closed, and when.
#[derive(Default)]
struct Closing {
    held: Option<OwnedFd>,
    pipes: VecDeque<(Instant, Option<OwnedFd>)>,
}

impl Closing {
    fn close_due(&mut self, socket: &OwnedFd) -> io::Result<()> {
        let now = Instant::now();
        while let Some((_, pipe)) = self.pipes.pop_front_if(|(due, _)| *due <= now) {
            drop(pipe);
            message::send(socket, &CLOSED.to_ne_bytes(), &[])?;
        }
        Ok(())
    }

    fn patience(&self) -> PollTimeout {
        let rest = self.pipes.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        let millis = |rest: Duration| u16::try_from(rest.as_millis() + 1).unwrap_or(u16::MAX);
        rest.map_or(PollTimeout::NONE, |rest| PollTimeout::from(millis(rest)))
    }
}

fn read(socket: &OwnedFd, pipe: &OwnedFd) -> io::Result<()> {
    let mut answer = [0; NUMBER + MOST];
    let (number, bytes) = answer.split_at_mut(NUMBER);
    let result = nix::unistd::read(pipe, bytes);
    let count = result.unwrap_or(0);
    let value = result.map_or_else(|errno| -i64::from(errno as i32), |count| i64::try_from(count).unwrap_or(0));
    number.copy_from_slice(&value.to_ne_bytes());
    message::send(socket, answer.get(..NUMBER + count).unwrap_or_default(), &[])
}

fn probe(socket: &OwnedFd, pipe: &OwnedFd) -> io::Result<()> {
    let _ = fcntl(pipe, FcntlArg::F_GETPIPE_SZ);
    message::send(socket, &(-i64::from(libc::EAGAIN)).to_ne_bytes(), &[])
}
