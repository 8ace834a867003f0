//! What each type of record does to the request that is being read.

use super::{Content, FILTER, Phase, Reader, Refusal, Step};
use crate::fastcgi::management::{answer_get_values, answer_unknown_type};
use crate::fastcgi::record::{HEADER_LEN, Header, RecordType};
use crate::fastcgi::reply::{ProtocolStatus, end_request};

/// The most content of a record that has to be read whole (FCGI_GET_VALUES).
const MOST_WHOLE: usize = 2048;

const FLAG_KEEP_CONN: u8 = 1;

impl Reader {
    pub(super) fn on_record(&mut self, header: Header) -> Result<Option<Step>, Refusal> {
        if header.id == 0 {
            return self.on_management(header);
        }
        match self.phase {
            Phase::Idle if header.kind == RecordType::BeginRequest => self.on_begin(header),
            Phase::Params if header.id == self.id => self.on_params(header),
            Phase::Body if header.id == self.id => self.on_body(header),
            Phase::Params | Phase::Body if header.kind == RecordType::BeginRequest => {
                self.enter(header, Content::Skipped);
                self.answers.extend_from_slice(&end_request(header.id, ProtocolStatus::CantMultiplex));
                Ok(Some(Step::Answer { last: false }))
            }
            // A record of a request that isn't active is ignored (section 3.3).
            _ => {
                self.enter(header, Content::Skipped);
                Ok(None)
            }
        }
    }

    fn on_management(&mut self, header: Header) -> Result<Option<Step>, Refusal> {
        match header.kind {
            RecordType::GetValues => {
                if usize::from(header.content) > MOST_WHOLE {
                    return Err(Refusal::GetValues);
                }
                let Some(query) = whole(self.input.unread(), header) else { return Ok(Some(Step::More)) };
                if !answer_get_values(query, self.capacity, &mut self.answers) {
                    return Err(Refusal::GetValues);
                }
            }
            RecordType::GetValuesResult | RecordType::UnknownType | RecordType::Other(_) => {
                answer_unknown_type(header.kind, &mut self.answers)
            }
            kind => return Err(Refusal::NoId(kind)),
        }
        self.enter(header, Content::Skipped);
        Ok(Some(Step::Answer { last: false }))
    }

    fn on_begin(&mut self, header: Header) -> Result<Option<Step>, Refusal> {
        if header.content != 8 {
            return Err(Refusal::BeginLength(header.content));
        }
        let Some(&[role1, role0, flags, ..]) = whole(self.input.unread(), header) else { return Ok(Some(Step::More)) };
        let keep = flags & FLAG_KEEP_CONN != 0;
        self.enter(header, Content::Skipped);
        let Some(role) = role_name(u16::from_be_bytes([role1, role0])) else {
            self.answers.extend_from_slice(&end_request(header.id, ProtocolStatus::UnknownRole));
            return Ok(Some(Step::Answer { last: !keep }));
        };
        self.input.forget_params();
        self.input.set_role(role);
        (self.phase, self.id, self.keep) = (Phase::Params, header.id, keep);
        self.more_streams = role == FILTER;
        Ok(None)
    }

    fn on_params(&mut self, header: Header) -> Result<Option<Step>, Refusal> {
        match header.kind {
            RecordType::Params if header.content > 0 => {
                if self.input.params_len() + usize::from(header.content) > self.limits.bytes {
                    return Err(Refusal::ParamsTooLarge(self.limits.bytes));
                }
                self.enter(header, Content::Params);
                Ok(None)
            }
            RecordType::Params => {
                self.enter(header, Content::Skipped);
                self.finish_padding();
                self.input.seal(self.limits.pairs)?;
                self.phase = Phase::Body;
                Ok(Some(Step::Request))
            }
            RecordType::AbortRequest => {
                self.enter(header, Content::Skipped);
                self.phase = Phase::Idle;
                self.answers.extend_from_slice(&end_request(header.id, ProtocolStatus::RequestComplete));
                Ok(Some(Step::Answer { last: !self.keep }))
            }
            kind => Err(Refusal::OutOfOrder(kind)),
        }
    }

    fn on_body(&mut self, header: Header) -> Result<Option<Step>, Refusal> {
        match header.kind {
            RecordType::Stdin if header.content > 0 => {
                self.enter(header, Content::Body);
                Ok(None)
            }
            RecordType::Stdin => {
                self.end_input(header);
                Ok(Some(Step::End))
            }
            RecordType::AbortRequest => {
                self.end_input(header);
                Ok(Some(Step::Abort))
            }
            RecordType::BeginRequest => Err(Refusal::OutOfOrder(header.kind)),
            _ => {
                self.enter(header, Content::Skipped);
                Ok(None)
            }
        }
    }

    fn end_input(&mut self, header: Header) {
        self.enter(header, Content::Skipped);
        self.finish_record();
        self.phase = Phase::Over;
    }

    /// Consumes a header; the record's content comes next.
    fn enter(&mut self, header: Header, content: Content) {
        self.input.consume(HEADER_LEN);
        (self.left, self.padding) = (usize::from(header.content), usize::from(header.padding));
        self.content = content;
    }
}

/// The roles that php-fpm serves, all in the same way.
fn role_name(role: u16) -> Option<&'static [u8]> {
    match role {
        1 => Some(b"RESPONDER"),
        2 => Some(b"AUTHORIZER"),
        3 => Some(FILTER),
        _ => None,
    }
}

/// The content of the record at the start of `unread`, if it is complete.
fn whole(unread: &[u8], header: Header) -> Option<&[u8]> {
    unread.get(HEADER_LEN..HEADER_LEN + usize::from(header.content))
}
