//! `php-fpm health`: asks the monitor, for a container's health check. It takes a second at most.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::say::{complain, say};
use crate::cli::{HealthCheck, Options, WrongOption};
use crate::config;
use crate::configured;
use crate::host::Host;
use crate::log::messages::terminal as texts;
use crate::sys::failure::reason;

const LIMIT: Duration = Duration::from_secs(1);
/// Metrics of a thousand pools take less.
const LONGEST: u64 = 64 << 20;

/// The exit statuses of php-fpm-healthcheck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Healthy = 0,
    Unhealthy = 1,
    WrongOption = 3,
    NoMonitor = 8,
    NoAnswer = 9,
    Refused = 111,
}

/// Carries it out; returns the exit status.
pub(crate) fn run(check: Result<HealthCheck, WrongOption>, host: &Host, options: &Options) -> i32 {
    let status = match check {
        Err(wrong) => {
            complain(&texts::health_option_wrong(wrong));
            Status::WrongOption
        }
        Ok(check) => examine(&check, host, options).unwrap_or_else(|(status, text)| {
            text.lines().for_each(complain);
            status
        }),
    };
    status as i32
}

fn examine(check: &HealthCheck, host: &Host, options: &Options) -> Result<Status, (Status, String)> {
    let load = configured::load_options(host, options);
    let file = options.config_path(&host.config_file());
    let address = config::monitor_address(&file, &load).map_err(|messages| {
        configured::say(&messages);
        (Status::NoMonitor, String::new())
    })?;
    let address = address.ok_or_else(|| (Status::NoMonitor, texts::no_monitor_to_ask(file.display())))?;
    let until = Instant::now() + LIMIT;
    let ask = |path: &str| ask(&address, path, until).map_err(|e| unanswered(&address, &e));
    if check.live || check.ready || check.limits.is_empty() {
        let (code, body) = ask(if check.live { "/livez?verbose" } else { "/readyz?verbose" })?;
        if code != 200 {
            return Err((Status::Unhealthy, body));
        }
        if check.verbose {
            body.lines().for_each(say);
        }
    }
    if check.limits.is_empty() {
        return Ok(Status::Healthy);
    }
    let (code, metrics) = ask("/metrics")?;
    if code != 200 {
        return Err((Status::NoMonitor, texts::no_metrics(&address)));
    }
    within(check, &metrics).map(|()| Status::Healthy)
}

fn unanswered(address: &str, e: &io::Error) -> (Status, String) {
    let status = match e.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Status::Refused,
        _ => Status::NoAnswer,
    };
    (status, texts::monitor_not_reached(address, reason(e)))
}

/// Whether each limit is kept by each pool, or by the one that is asked for.
fn within(check: &HealthCheck, metrics: &str) -> Result<(), (Status, String)> {
    for (metric, most) in &check.limits {
        let values = values(metrics, metric.name);
        let mut values =
            values.iter().filter(|(pool, _)| check.pool.as_ref().is_none_or(|asked| asked == pool)).peekable();
        if values.peek().is_none() {
            let pool = check.pool.as_deref().unwrap_or("*");
            return Err((Status::NoMonitor, texts::no_such_pool_to_check(pool)));
        }
        for (pool, value) in values {
            if check.verbose {
                say(&texts::metric_value(pool, metric.option, value, most));
            }
            if value > most {
                return Err((Status::Unhealthy, texts::metric_too_high(pool, metric.option, value, most)));
            }
        }
    }
    Ok(())
}

/// The samples of a metric, by pool.
fn values(metrics: &str, name: &str) -> Vec<(String, u64)> {
    let sample = |line: &str| {
        let labels = line.strip_prefix(name)?.strip_prefix("{pool=\"")?;
        let (labels, value) = labels.rsplit_once("} ")?;
        let end = labels.find("\",").unwrap_or(labels.len().saturating_sub(1));
        let pool = labels.get(..end)?.replace("\\\"", "\"").replace(r"\\", r"\");
        Some((pool, value.parse().ok()?))
    };
    metrics.lines().filter_map(sample).collect()
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

    const METRICS: &str = "# HELP phpfpm_listen_queue x\nphpfpm_listen_queue{pool=\"www\",scrape_uri=\"unix:///x\"} 3\n\
                           phpfpm_listen_queue{pool=\"a\\\"b\",scrape_uri=\"\"} 40\nphpfpm_listen_queue_length{pool=\"www\"} 511\n";

    #[test]
    fn samples_are_found_by_pool() {
        assert_eq!(values(METRICS, "phpfpm_listen_queue"), [("www".to_owned(), 3), ("a\"b".to_owned(), 40)]);
        assert_eq!(values(METRICS, "phpfpm_listen_queue_length"), [("www".to_owned(), 511)]);
        assert!(values(METRICS, "phpfpm_listen").is_empty());
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in any::<Vec<u8>>(), line in ".*") {
            let _ = (answer(&bytes), values(&line, ""), values(&format!("a{{pool=\"{line}"), "a"));
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
