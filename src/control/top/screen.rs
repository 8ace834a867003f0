//! The terminal that `php-fpm top` draws on. It is left as it was found.

use std::io::{self, Read, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::table::{Line, Look};
use crate::sys::terminal::{self, Keys};
use crate::sys::{clock, signal};

/// The other screen of the terminal, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A terminal that does not tell its size.
const USUAL: (usize, usize) = (80, 24);

/// The terminal while it shows pools.
pub(super) struct Screen {
    _keys: Keys,
    signals: SignalFd,
    has_colours: bool,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The time is over.
    Time,
    /// The terminal has another size.
    Resized,
    /// `q`, Ctrl-C, or a signal that ends a program.
    Quit,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn enter() -> io::Result<Self> {
        use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
        let signals = signal::descriptor(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH])?;
        let keys = Keys::take()?;
        let has_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let screen = Self { _keys: keys, signals, has_colours };
        write(ENTER)?;
        Ok(screen)
    }

    /// Columns and lines.
    pub(super) fn size() -> (usize, usize) {
        terminal::size().unwrap_or(USUAL)
    }

    /// Draws lines over what is there, without a moment in which nothing is there.
    pub(super) fn draw(&self, lines: &[Line]) -> io::Result<()> {
        let mut text = "\x1b[H".to_owned();
        for (at, (line, look)) in lines.iter().enumerate() {
            let style = match look {
                Look::Plain => "",
                Look::Heading => "\x1b[1m",
                Look::Warning if self.has_colours => "\x1b[33m",
                Look::Critical if self.has_colours => "\x1b[31m",
                Look::Warning | Look::Critical => "\x1b[1m",
            };
            let (before, after) = (if at == 0 { "" } else { "\r\n" }, if style.is_empty() { "" } else { "\x1b[0m" });
            text.push_str(&format!("{before}{style}{line}{after}\x1b[K"));
        }
        text.push_str("\x1b[J");
        write(&text)
    }

    /// Waits for a key or a signal, for that time at most.
    pub(super) fn wait(&self, time: Duration) -> io::Result<Event> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(clock::millis(left) + 1).unwrap_or(PollTimeout::MAX);
            let input = stdin();
            let mut fds =
                [PollFd::new(input.as_fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) => return Ok(Event::Time),
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
            let [keys, signals] = fds.map(|fd| fd.any().unwrap_or(false));
            if signals && let Some(event) = self.signalled() {
                return Ok(event);
            }
            if keys && quits()? {
                return Ok(Event::Quit);
            }
        }
    }

    fn signalled(&self) -> Option<Event> {
        let told = self.signals.read_signal().ok()??;
        let is_size = i32::try_from(told.ssi_signo).is_ok_and(|number| number == Signal::SIGWINCH as i32);
        Some(if is_size { Event::Resized } else { Event::Quit })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(LEAVE);
    }
}

/// Whether a key that ends the program was pressed, or the terminal is gone.
fn quits() -> io::Result<bool> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_BACKSLASH: u8 = 28;
    let mut keys = [0; 64];
    match stdin().read(&mut keys) {
        Ok(0) => Ok(true),
        Ok(count) => {
            let pressed = keys.get(..count).unwrap_or_default();
            Ok(pressed.iter().any(|key| matches!(*key, b'q' | b'Q' | CTRL_C | CTRL_D | CTRL_BACKSLASH)))
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => Ok(false),
        Err(e) => Err(e),
    }
}

fn write(text: &str) -> io::Result<()> {
    stdout().write_all(text.as_bytes())?;
    stdout().flush()
}
