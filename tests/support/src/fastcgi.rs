//! A FastCGI 1.0 client. Records are bytes, so that tests can also send them cut, mixed up and invalid.

use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::stream::{Address, Stream};
use crate::{Outcome, ensure};

/// The record types that tests name.
#[allow(missing_docs, reason = "the names are those of the specification")]
pub mod kind {
    pub const BEGIN_REQUEST: u8 = 1;
    pub const ABORT_REQUEST: u8 = 2;
    pub const END_REQUEST: u8 = 3;
    pub const PARAMS: u8 = 4;
    pub const STDIN: u8 = 5;
    pub const STDOUT: u8 = 6;
    pub const STDERR: u8 = 7;
    pub const GET_VALUES: u8 = 9;
    pub const GET_VALUES_RESULT: u8 = 10;
    pub const UNKNOWN_TYPE: u8 = 11;
}

/// A request of the responder role.
#[derive(Debug, Clone)]
pub struct Request {
    /// In order.
    pub params: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// `FCGI_KEEP_CONN`.
    pub keep: bool,
}

impl Request {
    /// A GET with the 27 parameters that nginx sends for a browser's request.
    #[must_use]
    pub fn get(page: &Path) -> Self {
        let script = page.to_string_lossy();
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        let root = page.parent().unwrap_or(Path::new("/")).to_string_lossy();
        let mut params: Vec<(String, String)> = COMMON.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let own = [
            ("SCRIPT_FILENAME", script.into_owned()),
            ("SCRIPT_NAME", format!("/{name}")),
            ("DOCUMENT_URI", format!("/{name}")),
            ("REQUEST_URI", format!("/{name}?a=1&b=two")),
            ("DOCUMENT_ROOT", root.into_owned()),
        ];
        params.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Self { params, body: Vec::new(), keep: false }
    }

    /// A request for a page that the pool answers itself, such as `pm.status_path`. It has no script.
    #[must_use]
    pub fn of_pool(path: &str, query: &str) -> Self {
        let request = Self::get(Path::new(&format!("/nonexistent{path}")));
        request.param("SCRIPT_NAME", path).param("REQUEST_URI", path).param("QUERY_STRING", query)
    }

    /// A POST of a form.
    #[must_use]
    pub fn post(page: &Path, body: &[u8]) -> Self {
        let request = Self { body: body.to_vec(), ..Self::get(page) };
        let length = body.len().to_string();
        let form = "application/x-www-form-urlencoded";
        request.param("REQUEST_METHOD", "POST").param("CONTENT_TYPE", form).param("CONTENT_LENGTH", &length)
    }

    /// With a parameter set.
    #[must_use]
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.params.retain(|(known, _)| known != name);
        self.params.push((name.to_owned(), value.to_owned()));
        self
    }

    /// On a kept connection.
    #[must_use]
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// All its records, under that request id.
    #[must_use]
    pub fn encode(&self, id: u16) -> Vec<u8> {
        let mut bytes = record(kind::BEGIN_REQUEST, id, &[0, 1, u8::from(self.keep), 0, 0, 0, 0, 0]);
        bytes.extend(stream(kind::PARAMS, id, &pairs(&self.params), 65535));
        bytes.extend(stream(kind::STDIN, id, &self.body, 65535));
        bytes
    }
}

const COMMON: [(&str, &str); 22] = [
    ("QUERY_STRING", "a=1&b=two"),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "http"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/1.22.1"),
    ("REMOTE_ADDR", "127.0.0.1"),
    ("REMOTE_PORT", "40000"),
    ("SERVER_ADDR", "127.0.0.1"),
    ("SERVER_PORT", "8080"),
    ("SERVER_NAME", "localhost"),
    ("REDIRECT_STATUS", "200"),
    ("HTTP_HOST", "localhost:8080"),
    ("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5"),
    ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br"),
    ("HTTP_CONNECTION", "keep-alive"),
    ("HTTP_COOKIE", "session=0123456789abcdef; theme=dark"),
    ("HTTP_REFERER", "http://localhost:8080/"),
];

/// A record; contents above 65,535 bytes don't fit.
#[must_use]
pub fn record(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let [id_high, id_low] = id.to_be_bytes();
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut bytes = vec![1, kind, id_high, id_low, high, low, 0, 0];
    bytes.extend_from_slice(content);
    bytes
}

/// A stream of records of that size, and the empty one that ends it.
#[must_use]
pub fn stream(kind: u8, id: u16, content: &[u8], size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = content.chunks(size).flat_map(|chunk| record(kind, id, chunk)).collect();
    bytes.extend(record(kind, id, b""));
    bytes
}

/// Name-value pairs.
#[must_use]
pub fn pairs(of: &[(String, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in of {
        for length in [name.len(), value.len()] {
            match u8::try_from(length) {
                Ok(short) if short < 128 => bytes.push(short),
                _ => bytes.extend((u32::try_from(length).unwrap_or_default() | 1 << 31).to_be_bytes()),
            }
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes
}

/// A record as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its type.
    pub kind: u8,
    /// Its request id.
    pub id: u16,
    /// Its content.
    pub content: Vec<u8>,
}

/// The answer to one request.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The request id.
    pub id: u16,
    /// Headers, empty line, body.
    pub stdout: Vec<u8>,
    /// For the web server's error log.
    pub stderr: Vec<u8>,
    /// The body of END_REQUEST.
    pub end: Vec<u8>,
}

impl Answer {
    /// The headers' text.
    #[must_use]
    pub fn headers(&self) -> String {
        self.parts().0
    }

    /// The body's text.
    #[must_use]
    pub fn body(&self) -> String {
        self.parts().1
    }

    fn parts(&self) -> (String, String) {
        let text = String::from_utf8_lossy(&self.stdout);
        let (headers, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        (headers.to_owned(), body.to_owned())
    }
}

/// A connection to a FastCGI server.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<Stream>,
}

impl Client {
    /// Connects; every read and write takes at most `limit`.
    ///
    /// # Errors
    /// As connect(2).
    pub fn connect(to: &Address, limit: Duration) -> Outcome<Self> {
        Ok(Self { stream: BufReader::with_capacity(65536, to.connect(limit)?) })
    }

    /// Uses an existing connection.
    ///
    /// # Errors
    /// When the limit can't be set.
    pub fn over(stream: UnixStream, limit: Duration) -> Outcome<Self> {
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self { stream: BufReader::with_capacity(65536, Stream::Unix(stream)) })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// As write(2).
    pub fn send(&mut self, bytes: &[u8]) -> Outcome {
        Ok(self.stream.get_mut().write_all(bytes)?)
    }

    /// Ends the sending side; answers can still be read.
    ///
    /// # Errors
    /// As shutdown(2).
    pub fn end_sending(&mut self) -> Outcome {
        Ok(self.stream.get_mut().end_sending()?)
    }

    /// The next record; None at the end of the connection.
    ///
    /// # Errors
    /// When nothing comes, or half a record.
    pub fn record(&mut self) -> Outcome<Option<Record>> {
        let mut head = [0; 8];
        if self.stream.read(&mut head[..1])? == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut head[1..])?;
        ensure!(head[0] == 1, "version {} in a record", head[0]);
        let mut content = vec![0; usize::from(u16::from_be_bytes([head[4], head[5]]))];
        self.stream.read_exact(&mut content)?;
        self.stream.read_exact(&mut vec![0; usize::from(head[6])])?;
        Ok(Some(Record { kind: head[1], id: u16::from_be_bytes([head[2], head[3]]), content }))
    }

    /// Reads up to the next END_REQUEST.
    ///
    /// # Errors
    /// When the connection ends before it.
    pub fn answer(&mut self) -> Outcome<Answer> {
        let mut answer = Answer::default();
        while let Some(record) = self.record()? {
            match record.kind {
                kind::STDOUT => answer.stdout.extend(record.content),
                kind::STDERR => answer.stderr.extend(record.content),
                kind::END_REQUEST => return Ok(Answer { id: record.id, end: record.content, ..answer }),
                other => return Err(format!("a record of type {other} in an answer").into()),
            }
        }
        Err(format!("end of connection in an answer, after {} bytes", answer.stdout.len()).into())
    }

    /// A request and its answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn ask(&mut self, request: &Request) -> Outcome<Answer> {
        self.send(&request.encode(1))?;
        self.answer()
    }
}

/// A request over a connection of its own, and the answer's body.
///
/// # Errors
/// When there is none.
pub fn ask_once(to: &Address, request: &Request, limit: Duration) -> Outcome<String> {
    Ok(Client::connect(to, limit)?.ask(request)?.body())
}
