//! A connection to a unix or TCP socket, with limits on every read and write.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A path.
    Unix(PathBuf),
    /// A loopback address.
    Tcp(SocketAddr),
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// To a path.
    Unix(UnixStream),
    /// To a loopback address.
    Tcp(TcpStream),
}

impl Address {
    /// Connects; every later read and write takes `limit` at most.
    ///
    /// # Errors
    /// As connect(2).
    pub fn connect(&self, limit: Duration) -> Result<Stream> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                Ok(Stream::Unix(stream))
            }
            Self::Tcp(addr) => {
                let stream = TcpStream::connect_timeout(addr, limit)?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

impl Stream {
    /// Ends the sending side.
    ///
    /// # Errors
    /// As shutdown(2).
    pub fn end_sending(&self) -> Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            let read = match self {
                Self::Unix(stream) => stream.read(buf),
                Self::Tcp(stream) => stream.read(buf),
            };
            match read {
                // With a limit, a stop of this process ends the call, even if no signal is handled (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(late()),
                read => return read,
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buf),
            Self::Tcp(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn late() -> Error {
    Error::new(ErrorKind::TimedOut, "no answer within the client's limit")
}
