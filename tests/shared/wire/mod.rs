//! The client's side of FastCGI, for tests: builds requests record by record, and parses answers.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses its part; so do the fuzz targets"
)]

pub mod properties;

use cgi_fpm::fastcgi::params::push_pair;
use cgi_fpm::fastcgi::record::{HEADER_LEN, Header, RecordType};

/// Pairs of a request, as tests write them down.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A request as the client means it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub id: u16,
    pub keep: bool,
    pub pairs: Pairs,
    pub body: Vec<u8>,
    /// Content bytes of each record.
    pub piece: usize,
    /// Padding of each record.
    pub padding: u8,
}

impl Request {
    /// A GET of a script.
    pub fn get(script: &str, keep: bool) -> Self {
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let pairs = vec![pair("REQUEST_METHOD", "GET"), pair("SCRIPT_FILENAME", script)];
        Self { id: 1, keep, pairs, body: Vec::new(), piece: 32 * 1024, padding: 0 }
    }

    /// A POST with a body.
    pub fn post(body: &[u8], keep: bool) -> Self {
        Self { body: body.to_vec(), ..Self::get("/post.php", keep) }
    }

    /// The complete request as a client sends it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.head();
        self.stream(&mut out, RecordType::Stdin, &self.body);
        out
    }

    /// BEGIN_REQUEST and the parameters.
    pub fn head(&self) -> Vec<u8> {
        let mut out = begin(self.id, 1, self.keep);
        let mut params = Vec::new();
        for (name, value) in &self.pairs {
            push_pair(&mut params, name, value);
        }
        self.stream(&mut out, RecordType::Params, &params);
        out
    }

    /// A stream's records and the empty one that ends it.
    pub fn stream(&self, out: &mut Vec<u8>, kind: RecordType, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece.clamp(1, 0xffff)) {
            push_record(out, kind, self.id, piece, self.padding);
        }
        push_record(out, kind, self.id, b"", self.padding);
    }
}

/// BEGIN_REQUEST.
pub fn begin(id: u16, role: u8, keep: bool) -> Vec<u8> {
    let mut out = Vec::new();
    push_record(&mut out, RecordType::BeginRequest, id, &[0, role, u8::from(keep), 0, 0, 0, 0, 0], 0);
    out
}

/// One record.
pub fn push_record(out: &mut Vec<u8>, kind: RecordType, id: u16, content: &[u8], padding: u8) {
    let length = u16::try_from(content.len()).unwrap();
    out.extend_from_slice(&Header { kind, id, content: length, padding }.encode());
    out.extend_from_slice(content);
    out.extend_from_slice(&vec![0; usize::from(padding)]);
}

/// One record alone.
pub fn record(kind: RecordType, id: u16, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_record(&mut out, kind, id, content, 0);
    out
}

/// Takes records apart; panics when bytes are left over.
pub fn records(mut bytes: &[u8]) -> Vec<(RecordType, u16, Vec<u8>)> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let header = Header::decode(*bytes.first_chunk::<HEADER_LEN>().expect("a whole header")).expect("version 1");
        let end = HEADER_LEN + usize::from(header.content);
        out.push((header.kind, header.id, bytes[HEADER_LEN..end].to_vec()));
        bytes = &bytes[end + usize::from(header.padding)..];
    }
    out
}

/// The bytes of one stream among records.
pub fn stream(records: &[(RecordType, u16, Vec<u8>)], wanted: RecordType) -> Vec<u8> {
    records.iter().filter(|(kind, ..)| *kind == wanted).flat_map(|(.., content)| content.clone()).collect()
}

/// How many answers are complete among records.
pub fn ends(records: &[(RecordType, u16, Vec<u8>)]) -> usize {
    records.iter().filter(|(kind, ..)| *kind == RecordType::EndRequest).count()
}
