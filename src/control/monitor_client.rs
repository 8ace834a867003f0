//! Asks the monitor that the configuration names. An answer is awaited for a second at most.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::cli::Options;
use crate::config;
use crate::configured;
use crate::host::Host;
use crate::log::messages::terminal as texts;
use crate::sys::failure::reason;

/// How long an answer may take.
pub(super) const LIMIT: Duration = Duration::from_secs(1);
/// Metrics of a thousand pools take less.
const LONGEST: u64 = 64 << 20;

/// The exit statuses of php-fpm-healthcheck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Healthy = 0,
    Unhealthy = 1,
    WrongOption = 3,
    NoMonitor = 8,
    NoAnswer = 9,
    Refused = 111,
}

/// Why nothing can be shown: the exit status, and lines for stderr.
pub(super) type Problem = (Status, String);

/// A monitor that may be asked.
#[derive(Debug)]
pub(super) struct Monitor {
    /// The word of the command that asks.
    command: &'static str,
    pub(super) address: String,
}

impl Monitor {
    /// The one that the configuration names.
    pub(super) fn find(command: &'static str, host: &Host, options: &Options) -> Result<Self, Problem> {
        let load = configured::load_options(host, options);
        let file = options.config_path(&host.config_file());
        let address = config::monitor_address(&file, &load).map_err(|messages| {
            configured::say(&messages);
            (Status::NoMonitor, String::new())
        })?;
        let address = address.ok_or_else(|| (Status::NoMonitor, texts::no_monitor_to_ask(command, file.display())))?;
        Ok(Self { command, address })
    }

    /// Status and body of an answer, which is awaited until then.
    pub(super) fn ask(&self, path: &str, until: Instant) -> Result<(u16, String), Problem> {
        ask(&self.address, path, until).map_err(|e| self.unanswered(&e))
    }

    /// What listens there is something else.
    pub(super) fn is_none(&self) -> Problem {
        (Status::NoMonitor, texts::no_monitor_there(self.command, &self.address))
    }

    fn unanswered(&self, e: &io::Error) -> Problem {
        let status = match e.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Status::Refused,
            _ => Status::NoAnswer,
        };
        (status, texts::monitor_not_reached(self.command, &self.address, reason(e)))
    }
}

/// Status and body of an answer.
fn ask(address: &str, path: &str, until: Instant) -> io::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.0\r\nConnection: close\r\n\r\n");
    let bytes = match address.parse() {
        Ok(tcp) => {
            let stream = TcpStream::connect_timeout(&tcp, left(until)?)?;
            exchange(stream, request.as_bytes(), until, |stream, left| {
                stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left)))
            })
        }
        Err(_) => exchange(connect_unix(address)?, request.as_bytes(), until, |stream, left| {
            stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left)))
        }),
    }?;
    answer(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not one of HTTP"))
}

/// Connects without waiting for a place in the queue.
fn connect_unix(path: &str) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn exchange<S: Read + Write>(
    mut stream: S,
    request: &[u8],
    until: Instant,
    limit: impl Fn(&S, Duration) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    limit(&stream, left(until)?)?;
    stream.write_all(request)?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        limit(&stream, left(until)?)?;
        let count = stream.read(&mut buffer)?;
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if count == 0 || bytes.len() as u64 > LONGEST {
            return Ok(bytes);
        }
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn answer(bytes: &[u8]) -> Option<(u16, String)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    Some((code, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = answer(&bytes);
        }
    }

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        assert_eq!(answer(b"HTTP/1.1 503 No\r\nA: b\r\n\r\nfailed\n"), Some((503, "failed\n".to_owned())));
        for wrong in [&b"HTTP/1.1 200 OK\r\n"[..], b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2\r\n\r\n", b"\xff"] {
            assert_eq!(answer(wrong), None);
        }
    }
}
