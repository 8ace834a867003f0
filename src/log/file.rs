//! Writing to a log file that is not this process's error log: access logs and slow logs.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::outlet::{self, Outlet};

/// Writes as much as possible without waiting, and leaves the rest in `bytes`.
///
/// # Errors
/// Those of write(2); the bytes stay in `bytes`.
pub fn append(file: OwnedFd, bytes: &mut Vec<u8>) -> io::Result<()> {
    let outlet = Outlet::new(File::from(file)).never_wait();
    while !bytes.is_empty() {
        match outlet.write(bytes) {
            Ok(count) => drop(bytes.drain(..count)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Writes all bytes and waits for the reader if it must. One call, unless the system takes fewer bytes.
///
/// # Errors
/// Those of write(2).
pub fn write_all(file: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = outlet::insist(&file, bytes)?;
        bytes = bytes.get(count..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pipe_does_not_take_is_left() {
        let (read, write) = nix::unistd::pipe().expect("pipe");
        let mut bytes = vec![b'x'; 1 << 20];
        append(write.try_clone().expect("dup"), &mut bytes).expect("append");
        assert!((1..1 << 20).contains(&bytes.len()));
        drop(read);
        assert!(append(write, &mut bytes).is_err());
    }
}
