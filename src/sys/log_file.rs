//! Opening a log.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::fd;

/// Opens a log for appending, mode 0600 like php-fpm's. A FIFO that nobody reads yet is not waited for: until somebody
/// does, what is written is lost.
///
/// # Errors
/// Those of open.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let open = |options: &mut OpenOptions| {
        options.append(true).create(true).mode(0o600).custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits());
        options.open(path)
    };
    let file = match open(&mut OpenOptions::new()) {
        Err(e) if e.raw_os_error() == Some(Errno::ENXIO as i32) && is_fifo(path) => {
            // It opens as soon as there is a reader: ourselves, for a moment.
            let _reader = open(OpenOptions::new().read(true))?;
            open(&mut OpenOptions::new())?
        }
        file => file?,
    };
    // Who writes to it decides whether to wait.
    fd::set_nonblocking(&file, false)?;
    Ok(file.into())
}

fn is_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_fifo_without_a_reader_is_opened_at_once_and_read_later() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("fifo");
        let mut file = File::from(super::open(&path).expect("open"));
        assert_eq!(file.write(b"x").map_err(|e| e.kind()), Err(io::ErrorKind::BrokenPipe));
        let mut reader = OpenOptions::new().read(true).open(&path).expect("reader");
        file.write_all(b"heard").expect("write");
        drop(file);
        let mut heard = String::new();
        reader.read_to_string(&mut heard).expect("read");
        assert_eq!(heard, "heard");
    }
}
