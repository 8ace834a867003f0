//! A client with one connection at a time, which blocks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use testkit::stream::{Address, Stream};
use testkit::{Outcome, ensure};

use super::{Check, Protocol, Reader, Report};

/// Longer than any answer takes.
const LIMIT: Duration = Duration::from_secs(60);

/// The client.
pub(crate) struct Single<'a> {
    address: &'a Address,
    request: &'a [u8],
    kept: bool,
    open: Option<Stream>,
    reader: Reader,
    buffer: Vec<u8>,
}

impl<'a> Single<'a> {
    /// Sends this request, over one connection (the request says so, too) or over a new one each time.
    pub(crate) fn new(address: &'a Address, request: &'a [u8], kept: bool) -> Self {
        let reader = Protocol::FastCgi.reader();
        Self { address, request, kept, open: None, reader, buffer: vec![0; 1 << 18] }
    }

    /// Sends it that often, one after the other, and checks each answer.
    ///
    /// # Errors
    /// If an answer is late or wrong.
    pub(crate) fn run(&mut self, check: &Check, requests: usize) -> Outcome<Report> {
        let begun = Instant::now();
        let mut report = Report { answered: requests, served: 1, ..Report::default() };
        for _ in 0..requests {
            let start = Instant::now();
            let content = self.ask()?;
            report.latencies.push(start.elapsed());
            check.expect(content)?;
        }
        report.elapsed = begun.elapsed();
        report.latencies.sort_unstable();
        Ok(report)
    }

    /// The content of one answer.
    ///
    /// # Errors
    /// If it is late or breaks the protocol.
    pub(crate) fn ask(&mut self) -> Outcome<&[u8]> {
        self.reader.clear();
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            // Nothing between connect and the request: a client that works there changes how the server accepts.
            None => connect(self.address, self.kept)?,
        };
        stream.write_all(self.request)?;
        if !self.kept {
            limit(&stream)?;
        }
        loop {
            let count = stream.read(&mut self.buffer)?;
            ensure!(count > 0, "the connection ended in an answer");
            if self.reader.take(&self.buffer[..count])? {
                break;
            }
        }
        self.open = self.kept.then_some(stream);
        Ok(self.reader.content())
    }
}

fn connect(address: &Address, kept: bool) -> Outcome<Stream> {
    let stream = match address {
        Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        Address::Tcp(addr) => Stream::Tcp(TcpStream::connect(addr)?),
    };
    if kept {
        limit(&stream)?;
    }
    Ok(stream)
}

fn limit(stream: &Stream) -> Outcome {
    match stream {
        Stream::Unix(stream) => stream.set_read_timeout(Some(LIMIT))?,
        Stream::Tcp(stream) => stream.set_read_timeout(Some(LIMIT))?,
    }
    Ok(())
}
