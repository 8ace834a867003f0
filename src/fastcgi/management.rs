//! Management records (FastCGI 1.0, section 4): what this application answers about itself.

use super::params::{Lengths, push_pair};
use super::record::{Header, RecordType};

/// The values in the answer to FCGI_GET_VALUES. Connections aren't multiplexed, so one connection is one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// The pool's pm.max_children.
    pub max_children: u32,
}

/// Appends FCGI_GET_VALUES_RESULT with each known name that was asked for. Returns false if the query is malformed.
pub(super) fn answer_get_values(query: &[u8], capacity: Capacity, out: &mut Vec<u8>) -> bool {
    let count = capacity.max_children.to_string();
    let known: [(&[u8], &[u8]); 3] =
        [(b"FCGI_MAX_CONNS", count.as_bytes()), (b"FCGI_MAX_REQS", count.as_bytes()), (b"FCGI_MPXS_CONNS", b"0")];
    let mut asked = [false; 3];
    let mut rest = query;
    while !rest.is_empty() {
        let Some(Lengths { header, name, value }) = Lengths::read(rest) else { return false };
        let wanted = &rest[header..header + name];
        if let Some(index) = known.iter().position(|(known, _)| *known == wanted) {
            asked[index] = true;
        }
        rest = &rest[header + name + value..];
    }
    let mut content = Vec::new();
    for ((name, value), _) in known.iter().zip(asked).filter(|(_, asked)| *asked) {
        push_pair(&mut content, name, value);
    }
    push_record(out, RecordType::GetValuesResult, &content);
    true
}

/// Appends FCGI_UNKNOWN_TYPE.
pub(super) fn answer_unknown_type(kind: RecordType, out: &mut Vec<u8>) {
    push_record(out, RecordType::UnknownType, &[kind.into(), 0, 0, 0, 0, 0, 0, 0]);
}

fn push_record(out: &mut Vec<u8>, kind: RecordType, content: &[u8]) {
    let Ok(length) = u16::try_from(content.len()) else { return };
    let header = Header::padded(kind, 0, length);
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(content);
    out.extend_from_slice(&[0; 7][..usize::from(header.padding)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity = Capacity { max_children: 25 };

    #[test]
    fn known_values_are_answered_once() {
        let mut query = Vec::new();
        for name in [&b"FCGI_MPXS_CONNS"[..], b"FCGI_MAX_REQS", b"SHOE_SIZE", b"FCGI_MPXS_CONNS"] {
            push_pair(&mut query, name, b"");
        }
        let mut out = Vec::new();
        assert!(answer_get_values(&query, CAPACITY, &mut out));
        assert_eq!(out, b"\x01\x0a\0\0\0\x23\x05\0\x0d\x02FCGI_MAX_REQS25\x0f\x01FCGI_MPXS_CONNS0\0\0\0\0\0");
    }

    #[test]
    fn a_malformed_query_is_not_answered() {
        assert!(!answer_get_values(b"\x09\x00ab", CAPACITY, &mut Vec::new()));
    }

    #[test]
    fn unknown_types_are_named() {
        let mut out = Vec::new();
        answer_unknown_type(RecordType::Other(77), &mut out);
        assert_eq!(out, b"\x01\x0b\0\0\0\x08\0\0\x4d\0\0\0\0\0\0\0");
    }
}
