//! The terminal of a command that draws on it (termios(3), `TIOCGWINSZ`).

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};

nix::ioctl_read_bad!(
    /// `TIOCGWINSZ` (ioctl_tty(2)).
    window_size,
    libc::TIOCGWINSZ,
    libc::winsize
);

/// The terminal on stdin, which passes each key on at once and shows none, not even those that send signals. On drop it is as it was.
#[derive(Debug)]
pub struct Keys {
    saved: Termios,
}

impl Keys {
    /// Changes the terminal.
    ///
    /// # Errors
    /// `ENOTTY`: stdin is no terminal.
    pub fn take() -> io::Result<Self> {
        let saved = tcgetattr(io::stdin())?;
        let mut changed = saved.clone();
        changed.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        // A read returns at once.
        for (index, value) in [(SpecialCharacterIndices::VMIN, 0), (SpecialCharacterIndices::VTIME, 0)] {
            changed.control_chars[index as usize] = value;
        }
        tcsetattr(io::stdin(), SetArg::TCSANOW, &changed)?;
        Ok(Self { saved })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.saved);
    }
}

/// Columns and lines of the terminal on stdout. `None`: it is none, or does not know its size.
#[must_use]
pub fn size() -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize`, to a place that lives during the call.
    unsafe { window_size(io::stdout().as_raw_fd(), &raw mut size) }.ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}
