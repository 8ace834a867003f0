//! Properties of every input: shared by the property tests and the fuzz targets.

use cgi_fpm::fastcgi::index::Text;
use cgi_fpm::fastcgi::management::Capacity;
use cgi_fpm::fastcgi::record::RecordType;
use cgi_fpm::fastcgi::reply::Reply;
use cgi_fpm::fastcgi::request::{ParamsLimits, Reader, Refusal, Step};

use super::{Pairs, Request, begin, ends, push_record, record, records, stream};

/// Small, so that the tests reach the limits.
pub const LIMITS: ParamsLimits = ParamsLimits { bytes: 100_000, pairs: 50 };

/// A request as the reader understood it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    pub pairs: Pairs,
    pub body: Vec<u8>,
    pub keep: bool,
    pub complete: bool,
}

/// Everything that a stream contains.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub requests: Vec<Read>,
    pub answers: Vec<u8>,
    pub refusal: Option<Refusal>,
}

/// Reads a stream that arrives in pieces. `cuts` has their sizes and repeats; if it is empty, each piece is as large
/// as the buffer allows.
pub fn read(bytes: &[u8], cuts: &[u8]) -> Outcome {
    let mut reader = Reader::new(LIMITS, Capacity { max_children: 3 });
    let mut outcome = Outcome::default();
    let mut pieces = Pieces { rest: bytes, cuts: cuts.iter().cycle() };
    loop {
        match reader.advance() {
            Ok(Step::Request) => outcome.requests.push(understood(&reader)),
            Ok(Step::Body) => {
                let mut buffer = [0; 100];
                let count = reader.take_body(&mut buffer);
                if let Some(request) = outcome.requests.last_mut() {
                    request.body.extend_from_slice(&buffer[..count]);
                }
                if count == 0 && !pieces.feed(&mut reader) {
                    return outcome;
                }
            }
            Ok(step @ (Step::End | Step::Abort)) => {
                if let Some(request) = outcome.requests.last_mut() {
                    assert_eq!(request.pairs, understood(&reader).pairs, "parameters changed under the body");
                    request.complete = step == Step::End;
                }
                reader.next_request();
            }
            Ok(Step::Answer { last }) => {
                outcome.answers.extend_from_slice(reader.answers());
                if last {
                    return outcome;
                }
            }
            Ok(Step::More) if pieces.feed(&mut reader) => {}
            Ok(Step::More) => return outcome,
            Err(refusal) => {
                outcome.refusal = Some(refusal);
                return outcome;
            }
        }
    }
}

struct Pieces<'a> {
    rest: &'a [u8],
    cuts: std::iter::Cycle<std::slice::Iter<'a, u8>>,
}

impl Pieces<'_> {
    fn feed(&mut self, reader: &mut Reader) -> bool {
        let size = self.cuts.next().map_or(usize::MAX, |&cut| usize::from(cut) + 1);
        let room = reader.room();
        assert!(!room.is_empty());
        let (piece, rest) = self.rest.split_at(size.min(room.len()).min(self.rest.len()));
        room[..piece.len()].copy_from_slice(piece);
        reader.filled(piece.len());
        self.rest = rest;
        !piece.is_empty()
    }
}

fn understood(reader: &Reader) -> Read {
    let params = reader.params();
    assert!(params.len() <= LIMITS.pairs + 1);
    let mut pairs = Vec::new();
    for (name, value) in params.iter() {
        // A name is known to PHP up to its first NUL.
        pairs.push((name.to_bytes().to_vec(), value.to_vec()));
    }
    Read { pairs, body: Vec::new(), keep: reader.keep(), complete: false }
}

/// Bytes mean the same however they are cut, and nothing panics.
pub fn cuts_change_nothing(bytes: &[u8], cuts: &[u8]) {
    let whole = read(bytes, &[]);
    assert_eq!(read(bytes, cuts), whole);
    records(&whole.answers);
}

/// Parameters with any content are decoded, or refused, exactly as a plain decoder does.
pub fn params_are_decoded(content: &[u8], cuts: &[u8]) {
    let mut bytes = begin(1, 1, false);
    let piece = cuts.first().map_or(1000, |&cut| usize::from(cut) + 1);
    Request { id: 1, piece, ..Request::default() }.stream(&mut bytes, RecordType::Params, content);
    bytes.extend_from_slice(&record(RecordType::Stdin, 1, b""));
    let outcome = read(&bytes, cuts);
    match plain(content) {
        Some(pairs) if content.len() <= LIMITS.bytes => assert_eq!(outcome.requests[0].pairs, pairs),
        _ => assert!(outcome.refusal.is_some()),
    }
    for is_new in [false, true] {
        a_parameter_is_set(&bytes, cuts, is_new);
    }
}

/// Sets one more parameter, new or in place of the last one that was sent: all others stay, also in the copy for PHP.
fn a_parameter_is_set(bytes: &[u8], cuts: &[u8], is_new: bool) {
    const ROOM: usize = 40;
    let mut reader = Reader::new(LIMITS, Capacity { max_children: 3 });
    reader.reserve(ROOM);
    let mut pieces = Pieces { rest: bytes, cuts: cuts.iter().cycle() };
    loop {
        match reader.advance() {
            Ok(Step::Request) => break,
            Ok(Step::More) if pieces.feed(&mut reader) => {}
            _ => return,
        }
    }
    let mut expected = copied(&reader);
    let last = expected.last().map(|(name, _)| name.clone()).filter(|_| !is_new);
    let (name, value) = (last.unwrap_or_else(|| b"NEW\nNAME".to_vec()), b"0123456789".to_vec());
    let fits = name.len() + value.len() + 2 <= ROOM;
    assert_eq!(reader.params_mut().set(&name, &value), fits);
    match expected.iter_mut().find(|(known, _)| *known == name) {
        _ if !fits => {}
        Some((_, known)) => *known = value,
        None => expected.push((name, value)),
    }
    assert_eq!(copied(&reader), expected);
}

/// The parameters in the copy that PHP gets.
fn copied(reader: &Reader) -> Pairs {
    let (bytes, index) = reader.params().parts();
    let text = |text: Text| {
        let range = text.range();
        assert_eq!(bytes.get(range.end), Some(&0));
        bytes.get(range).unwrap_or_default().to_vec()
    };
    index.iter().map(|pair| (text(pair.name), text(pair.value))).collect()
}

/// Decodes name-value pairs the slow way, in the reader's order: the role first, a repeated name with its last value.
fn plain(mut content: &[u8]) -> Option<Pairs> {
    let mut pairs: Pairs = vec![(b"FCGI_ROLE".to_vec(), b"RESPONDER".to_vec())];
    let mut count = 0;
    while !content.is_empty() {
        let name_len = plain_length(&mut content)?;
        let value_len = plain_length(&mut content)?;
        let name = content.get(..name_len)?.to_vec();
        let value = content[name_len..].get(..value_len)?.to_vec();
        content = &content[name_len + value_len..];
        count += 1;
        match pairs.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => pairs.push((name, value)),
        }
    }
    for (name, _) in &mut pairs {
        name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
    }
    (count <= LIMITS.pairs).then_some(pairs)
}

fn plain_length(content: &mut &[u8]) -> Option<usize> {
    let size = if content.first()? & 0x80 == 0 { 1 } else { 4 };
    let bytes = content.get(..size)?;
    *content = &content[size..];
    let number = bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte));
    Some(if size == 4 { number & 0x7fff_ffff } else { number })
}

/// The reader returns what was sent: pairs, body, and all requests of a connection.
pub fn requests_survive(requests: &[Request], cuts: &[u8]) {
    let bytes: Vec<u8> = requests.iter().flat_map(Request::encode).collect();
    let outcome = read(&bytes, cuts);
    assert_eq!(outcome.refusal, None);
    assert_eq!(outcome.requests.len(), requests.len());
    for (read, sent) in outcome.requests.iter().zip(requests) {
        let mut params = Vec::new();
        for (name, value) in &sent.pairs {
            cgi_fpm::fastcgi::params::push_pair(&mut params, name, value);
        }
        assert_eq!(Some(&read.pairs), plain(&params).as_ref());
        assert_eq!((&read.body, read.keep, read.complete), (&sent.body, sent.keep, true));
    }
}

/// Writes on two streams arrive complete and in order, in records that are aligned and not empty, however often they
/// are flushed.
pub fn writes_survive(writes: &[(bool, Vec<u8>, bool)]) {
    let mut reply = Reply::default();
    reply.begin(1);
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for (error, bytes, flush) in writes {
        let kind = if *error { RecordType::Stderr } else { RecordType::Stdout };
        push_stretch(&mut expected, kind, bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let taken = reply.push(kind, rest);
            rest = &rest[taken..];
            if *flush || !rest.is_empty() {
                reply.close_record();
                sent.extend_from_slice(reply.pending());
                reply.clear();
            }
        }
    }
    reply.end();
    sent.extend_from_slice(reply.pending());
    assert_eq!(sent.len() % 8, 0);
    let records = records(&sent);
    let mut found = Vec::new();
    for (kind, id, content) in &records {
        assert_eq!(*id, 1);
        assert!(!content.is_empty());
        if *kind != RecordType::EndRequest {
            push_stretch(&mut found, *kind, content);
        }
    }
    assert_eq!(found, expected);
    assert_eq!(ends(&records), 1);
    assert_eq!(stream(&records, RecordType::EndRequest), [0; 8]);
}

/// Appends bytes to the last section of their stream.
fn push_stretch(stretches: &mut Vec<(RecordType, Vec<u8>)>, kind: RecordType, bytes: &[u8]) {
    match stretches.last_mut() {
        _ if bytes.is_empty() => {}
        Some((last, content)) if *last == kind => content.extend_from_slice(bytes),
        _ => stretches.push((kind, bytes.to_vec())),
    }
}

/// Makes a stream of well-formed records out of bytes; their order and content are arbitrary.
pub fn wild_records(mut plan: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((&[kind, id, size, padding], rest)) = plan.split_first_chunk() {
        let kind = RecordType::from(kind % 13);
        let (content, rest) = rest.split_at(rest.len().min(usize::from(size)));
        match kind {
            RecordType::BeginRequest if size < 250 => {
                out.extend_from_slice(&begin(u16::from(id % 3), size % 5, padding & 1 == 1))
            }
            _ => push_record(&mut out, kind, u16::from(id % 3), content, padding),
        }
        plan = rest;
    }
    out
}
