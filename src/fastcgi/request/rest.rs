//! A partial request as bytes that bring another reader to the same state.

use super::{Content, FILTER, Phase, Reader};
use crate::fastcgi::params::Params;
use crate::fastcgi::record::{Header, MAX_CONTENT, RecordType};

impl Reader {
    /// Bytes that mean the same as those received since the request before: new records with the parameters, a header
    /// for the missing part of the present record, and the unread bytes. Only before the parameters are complete.
    #[must_use]
    pub fn rest(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.phase == Phase::Params {
            let [high, low] = role_number(self.params()).to_be_bytes();
            push(&mut bytes, RecordType::BeginRequest, self.id, &[high, low, u8::from(self.keep), 0, 0, 0, 0, 0]);
            for content in self.input.params_content().chunks(MAX_CONTENT) {
                push(&mut bytes, RecordType::Params, self.id, content);
            }
        }
        if self.left > 0 || self.padding > 0 {
            let (kind, id) = match self.content {
                Content::Params if self.left > 0 => (RecordType::Params, self.id),
                // A record of no active request is ignored; one of parameters without content would be their end.
                _ => (RecordType::Stdin, if self.id == 1 { 2 } else { 1 }),
            };
            let [content, padding] = [self.left, self.padding];
            let header = Header {
                kind,
                id,
                content: u16::try_from(content).unwrap_or(u16::MAX),
                padding: u8::try_from(padding).unwrap_or(u8::MAX),
            };
            bytes.extend_from_slice(&header.encode());
        }
        bytes.extend_from_slice(self.input.unread());
        bytes
    }

    /// Takes such bytes, on a connection from which nothing else was read.
    pub fn take_up(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            let room = self.room();
            let count = room.len().min(rest.len());
            let (now, later) = rest.split_at(count);
            room[..count].copy_from_slice(now);
            self.filled(count);
            rest = later;
        }
    }
}

fn push(bytes: &mut Vec<u8>, kind: RecordType, id: u16, content: &[u8]) {
    let header = Header { kind, id, content: u16::try_from(content.len()).unwrap_or(u16::MAX), padding: 0 };
    bytes.extend_from_slice(&header.encode());
    bytes.extend_from_slice(content);
}

fn role_number(params: &Params) -> u16 {
    match params.get(b"FCGI_ROLE") {
        Some(b"AUTHORIZER") => 2,
        Some(role) if role == FILTER => 3,
        _ => 1,
    }
}
