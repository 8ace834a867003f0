//! A small HTTP/1.1 client: one kept-alive connection, requests one after another.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use crate::stream::{Address, Stream};
use crate::{Outcome, ensure};

/// A client of one web server.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    limit: Duration,
    open: Option<BufReader<Stream>>,
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// 200 and so on.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without chunks.
    pub body: Vec<u8>,
}

impl Client {
    /// A client whose reads and writes take at most that long.
    #[must_use]
    pub fn new(server: SocketAddr, limit: Duration) -> Self {
        Self { server, limit, open: None }
    }

    /// GET.
    ///
    /// # Errors
    /// When no whole answer comes; any status is an answer.
    pub fn get(&mut self, path: &str) -> Outcome<Reply> {
        self.send("GET", path, "", b"")
    }

    /// POST of a form.
    ///
    /// # Errors
    /// When no whole answer comes; any status is an answer.
    pub fn post(&mut self, path: &str, body: &[u8]) -> Outcome<Reply> {
        self.send("POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", body)
    }

    /// Any request; `headers` are whole lines. A body whose coding they name is sent as it is.
    ///
    /// # Errors
    /// When no whole answer comes; any status is an answer.
    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Outcome<Reply> {
        let mut connection = self.take()?;
        let no_length = method == "GET" || headers.contains("Transfer-Encoding:");
        let length = if no_length { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}{headers}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        connection.get_mut().write_all(&bytes)?;
        let reply = read_reply(&mut connection, method != "HEAD")?;
        if reply.header("connection") != Some("close") {
            self.open = Some(connection);
        }
        Ok(reply)
    }

    /// Sends a request, and closes the connection after that time without reading.
    ///
    /// # Errors
    /// When it can't be sent.
    pub fn send_and_leave(&mut self, path: &str, after: Duration) -> Outcome {
        let mut connection = self.take()?;
        write!(connection.get_mut(), "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        std::thread::sleep(after);
        Ok(())
    }

    fn take(&mut self) -> Outcome<BufReader<Stream>> {
        match self.open.take() {
            Some(open) => Ok(open),
            None => Ok(BufReader::with_capacity(65536, Address::Tcp(self.server).connect(self.limit)?)),
        }
    }
}

impl Reply {
    /// The first value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, if the status is `status`.
    ///
    /// # Errors
    /// When it is another.
    pub fn expect(self, status: u16) -> Outcome<Self> {
        let text = self.text().split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(self.status == status, "status {} in place of {status}: {text:.300}", self.status);
        Ok(self)
    }
}

fn read_reply(from: &mut BufReader<Stream>, with_body: bool) -> Outcome<Reply> {
    let line = read_line(from)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let mut reply = Reply { status: status.ok_or_else(|| format!("no status in {line:?}"))?, ..Reply::default() };
    loop {
        let line = read_line(from)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no header: {line:?}"))?;
        reply.headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    if with_body && !matches!(reply.status, 204 | 304) {
        read_body(from, &mut reply)?;
    }
    Ok(reply)
}

fn read_body(from: &mut BufReader<Stream>, reply: &mut Reply) -> Outcome {
    if let Some(length) = reply.header("content-length") {
        read_exact(from, length.parse()?, &mut reply.body)
    } else if reply.header("transfer-encoding") == Some("chunked") {
        read_chunks(from, &mut reply.body)
    } else {
        from.read_to_end(&mut reply.body)?;
        Ok(())
    }
}

fn read_chunks(from: &mut BufReader<Stream>, body: &mut Vec<u8>) -> Outcome {
    loop {
        let line = read_line(from)?;
        let size = usize::from_str_radix(&line, 16).map_err(|_| format!("no chunk size: {line:?}"))?;
        read_exact(from, size, body)?;
        let end = read_line(from)?;
        ensure!(end.is_empty(), "no end of chunk: {end:?}");
        if size == 0 {
            return Ok(());
        }
    }
}

fn read_exact(from: &mut BufReader<Stream>, size: usize, body: &mut Vec<u8>) -> Outcome {
    let start = body.len();
    body.resize(start + size, 0);
    Ok(from.read_exact(&mut body[start..])?)
}

fn read_line(from: &mut BufReader<Stream>) -> Outcome<String> {
    let mut line = String::new();
    ensure!(from.read_line(&mut line)? > 0, "the web server closed the connection");
    Ok(line.trim_end().to_owned())
}
