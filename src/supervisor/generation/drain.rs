//! The drain signal: how the workers of a zygote learn that they are to accept nothing new. It is the end of a pipe whose writing end
//! only the supervisor has, so no worker can give the signal, or take it back.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use serde::{Deserialize, Serialize};

use crate::sys::inherited;

/// The supervisor's end.
#[derive(Debug, Default)]
pub(crate) enum Drain {
    /// The signal was given, or there is no zygote yet.
    #[default]
    Closed,
    /// Closing it gives the signal.
    Pipe(OwnedFd),
    /// An eventfd; writing to it gives the signal. Zygotes that a former version has started have it.
    Event(OwnedFd),
}

/// The same by descriptor number, for the next image. Part of the state that a reload hands over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DrainState {
    /// That of `Drain::Closed`.
    #[default]
    Closed,
    /// That of `Drain::Pipe`.
    Pipe(RawFd),
    /// That of `Drain::Event`.
    Event(RawFd),
}

impl Drain {
    /// A new one, with the reading end, which the zygote gets.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok((Self::Pipe(writing), reading))
    }

    /// Gives the signal. All processes share the open file description of an eventfd, so one of them may have made it blocking and
    /// full. A full one gives the signal already.
    pub(crate) fn begin(&mut self) {
        if let Self::Event(event) = std::mem::take(self)
            && has_room(&event)
        {
            let _ = nix::unistd::write(&event, &1u64.to_ne_bytes());
        }
    }

    /// For the next image.
    #[must_use]
    pub(crate) fn state(&self) -> DrainState {
        match self {
            Self::Closed => DrainState::Closed,
            Self::Pipe(pipe) => DrainState::Pipe(pipe.as_raw_fd()),
            Self::Event(event) => DrainState::Event(event.as_raw_fd()),
        }
    }
}

fn has_room(event: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(event.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

impl DrainState {
    /// Takes it over in the next image. `None`: the former version had one eventfd for a whole generation.
    ///
    /// # Errors
    /// A descriptor that isn't there.
    pub(crate) fn adopt(state: Option<Self>, of_generation: Option<&OwnedFd>) -> io::Result<Drain> {
        Ok(match (state, of_generation) {
            (Some(Self::Pipe(raw)), _) => Drain::Pipe(inherited::adopt(raw)?),
            (Some(Self::Event(raw)), _) => Drain::Event(inherited::adopt(raw)?),
            (None, Some(event)) => Drain::Event(event.try_clone()?),
            (Some(Self::Closed), _) | (None, None) => Drain::Closed,
        })
    }

    /// The descriptor's number, if it has one.
    #[must_use]
    pub(crate) fn number(self) -> Option<RawFd> {
        match self {
            Self::Closed => None,
            Self::Pipe(raw) | Self::Event(raw) => Some(raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use nix::sys::eventfd::EventFd;

    use super::*;
    use crate::sys::socket;

    fn is_told(workers: impl AsFd) -> bool {
        socket::await_input(workers, Instant::now() + Duration::from_millis(1)).unwrap()
    }

    #[test]
    fn workers_see_it_once_and_for_all_and_cannot_give_it() {
        let (mut drain, workers) = Drain::new().unwrap();
        assert!(nix::unistd::write(&workers, b"x").is_err());
        assert!(!is_told(&workers));
        drain.begin();
        assert!(is_told(&workers) && is_told(&workers));
        assert_eq!(drain.state(), DrainState::Closed);
    }

    #[test]
    fn a_generation_of_an_older_program_is_told_by_its_eventfd() {
        let event: OwnedFd = EventFd::new().unwrap().into();
        let mut first = DrainState::adopt(None, Some(&event)).unwrap();
        assert!(matches!(first.state(), DrainState::Event(_)) && !is_told(&event));
        first.begin();
        assert!(is_told(&event));
    }

    #[test]
    fn a_full_eventfd_is_not_waited_for() {
        let blocking = EventFd::from_value_and_flags(0, nix::sys::eventfd::EfdFlags::EFD_CLOEXEC).unwrap();
        blocking.write(u64::MAX - 1).unwrap();
        let event = OwnedFd::from(blocking);
        Drain::Event(event.try_clone().unwrap()).begin();
        assert!(is_told(&event));
    }
}
