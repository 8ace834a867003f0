//! A client with many kept connections in one thread, driven by epoll: as a closed loop, or as an open loop with a fixed rate.
//!
//! In an open loop a latency counts from the time when the request was to be sent. So a server that stalls for a second gets
//! the blame for all requests that were due in that second, not only for those that a free connection could send.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use testkit::stream::{Address, Stream};
use testkit::{Outcome, ensure};

use super::arrivals::{Arrivals, Schedule};
use super::{Check, Protocol, Reader, Report};

/// How long the last answers may take in an open loop; in a closed loop, how long no answer may come.
const PATIENCE: Duration = Duration::from_secs(5);

/// The load: `connections` times this request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Many<'a> {
    pub(crate) address: &'a Address,
    pub(crate) protocol: Protocol,
    pub(crate) request: &'a [u8],
    pub(crate) check: &'a Check,
    pub(crate) connections: usize,
}

struct Connection {
    stream: Stream,
    reader: Reader,
    /// When its request was to be sent; None: it is free.
    since: Option<Instant>,
    served: bool,
}

struct Run<'a> {
    load: Many<'a>,
    epoll: Epoll,
    connections: Vec<Connection>,
    /// First in, first out, so that each connection gets its turn.
    free: VecDeque<usize>,
    buffer: Vec<u8>,
    report: Report,
}

impl Many<'_> {
    /// Each connection sends its next request after an answer, until so many answers have arrived.
    ///
    /// # Errors
    /// If an answer is wrong, or if none arrives for five seconds.
    pub(crate) fn closed(self, answers: usize) -> Outcome<Report> {
        Run::connect(self)?.drive(Schedule::Closed { answers })
    }

    /// So many requests per second for that time.
    ///
    /// # Errors
    /// If an answer is wrong. A late one is only counted.
    pub(crate) fn open(self, rate: f64, lasts: Duration) -> Outcome<Report> {
        let interval = Duration::from_secs_f64(1.0 / rate);
        let requests = (rate * lasts.as_secs_f64()) as usize;
        Run::connect(self)?.drive(Schedule::Open { interval, requests })
    }
}

impl<'a> Run<'a> {
    fn connect(load: Many<'a>) -> Outcome<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut connections = Vec::new();
        for number in 0..load.connections {
            let stream = open(load.address, &epoll, number)?;
            connections.push(Connection { stream, reader: load.protocol.reader(), since: None, served: false });
        }
        let free = (0..load.connections).collect();
        // Otherwise the kernel lets timers of up to 50 µs run together.
        nix::sys::prctl::set_timerslack(1)?;
        Ok(Self { load, epoll, connections, free, buffer: vec![0; 1 << 16], report: Report::default() })
    }

    fn drive(mut self, schedule: Schedule) -> Outcome<Report> {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(schedule, start);
        // The last time that something was sent or arrived.
        let (mut now, mut heard) = (start, start);
        while !arrivals.is_over(self.report.answered) {
            if self.send(&mut arrivals, now)? {
                heard = now;
            }
            let due = arrivals.next(now).filter(|_| !self.free.is_empty());
            if due.is_none() && now >= heard + PATIENCE {
                break;
            }
            let arrived = self.wait(due.unwrap_or(heard + PATIENCE).saturating_duration_since(now))?;
            now = Instant::now();
            for number in arrived {
                self.receive(number, now)?;
                heard = now;
            }
        }
        self.finish(&mut arrivals, start, now)
    }

    /// Sends what is due, as far as connections are free; whether that was anything.
    fn send(&mut self, arrivals: &mut Arrivals, now: Instant) -> Outcome<bool> {
        let mut any = false;
        while let Some(number) = self.free.front().copied() {
            let Some(due) = arrivals.take(now) else { break };
            self.free.pop_front();
            self.connections[number].since = Some(due);
            self.write(number)?;
            any = true;
        }
        Ok(any)
    }

    /// Connections with something to read; none after that time.
    fn wait(&self, limit: Duration) -> Outcome<Vec<usize>> {
        let mut fds = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        ppoll(&mut fds, Some(TimeSpec::from_duration(limit)), None)?;
        let mut events = [EpollEvent::empty(); 64];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO)?;
        Ok(events[..count].iter().map(|event| event.data() as usize).collect())
    }

    fn receive(&mut self, number: usize, now: Instant) -> Outcome {
        let connection = &mut self.connections[number];
        let count = match connection.stream.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read?,
        };
        if count == 0 {
            return self.reopen(number);
        }
        let since = connection.since.ok_or("bytes on a connection without a request")?;
        if connection.reader.take(&self.buffer[..count])? {
            self.load.check.expect(connection.reader.content())?;
            self.report.answered += 1;
            self.report.latencies.push(now.saturating_duration_since(since));
            connection.served = true;
            connection.since = None;
            self.free.push_back(number);
        }
        Ok(())
    }

    /// A web server may close a kept connection at any time but in an answer. Then its request is sent again.
    fn reopen(&mut self, number: usize) -> Outcome {
        let connection = &mut self.connections[number];
        let has_request = if connection.since.is_some() { "with" } else { "without" };
        ensure!(
            self.load.protocol == Protocol::Http,
            "connection {number} ended, {has_request} a request, after {} answers",
            self.report.answered
        );
        ensure!(connection.reader.is_empty() || connection.since.is_none(), "a connection ended in an answer");
        self.report.reopened += 1;
        connection.stream = open(self.load.address, &self.epoll, number)?;
        if connection.since.is_some() {
            self.write(number)?;
        }
        Ok(())
    }

    fn write(&mut self, number: usize) -> Outcome {
        let connection = &mut self.connections[number];
        connection.reader.clear();
        // A connection that the other side has closed is opened again when its end is read.
        let sent = match connection.stream.write(self.load.request) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => return Ok(()),
            sent => sent?,
        };
        ensure!(sent == self.load.request.len(), "a request of {} bytes is too long", self.load.request.len());
        Ok(())
    }

    fn finish(mut self, arrivals: &mut Arrivals, start: Instant, end: Instant) -> Outcome<Report> {
        ensure!(self.report.answered > 0, "no answer within {PATIENCE:?}");
        let waiting = self.connections.iter().filter_map(|connection| connection.since).chain(arrivals.overdue(end));
        let waits: Vec<Duration> = waiting.map(|since| end.saturating_duration_since(since)).collect();
        // A closed loop ends amid requests.
        self.report.unanswered = if arrivals.is_open() { waits.len() } else { 0 };
        self.report.latencies.extend(waits);
        self.report.latencies.sort_unstable();
        self.report.served = self.connections.iter().filter(|connection| connection.served).count();
        self.report.elapsed = end.duration_since(start);
        Ok(self.report)
    }
}

/// A connection whose events have that number.
fn open(address: &Address, epoll: &Epoll, number: usize) -> Outcome<Stream> {
    let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
    match address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_nonblocking(true)?;
            epoll.add(&stream, event)?;
            Ok(Stream::Unix(stream))
        }
        Address::Tcp(addr) => {
            let stream = TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll.add(&stream, event)?;
            Ok(Stream::Tcp(stream))
        }
    }
}
