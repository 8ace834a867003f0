//! `ping.path`: answered by the worker itself, without PHP.
#![forbid(unsafe_code)]

use super::exchange::Exchange;
use crate::config::Pool;

/// The pool's ping page.
#[derive(Debug)]
pub(super) struct Ping {
    path: Option<Vec<u8>>,
    answer: Vec<u8>,
}

impl Ping {
    /// `powered_by`: the engine's word about itself, asked for only where there is a ping page.
    pub(super) fn new(pool: &Pool, powered_by: impl FnOnce() -> Option<String>) -> Self {
        let Some(path) = &pool.ping_path else { return Self { path: None, answer: Vec::new() } };
        let powered_by = powered_by().map(|p| format!("X-Powered-By: {p}\r\n")).unwrap_or_default();
        let answer = format!(
            "{powered_by}Content-type: text/plain;charset=UTF-8\r\n\
             Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Cache-Control: no-cache, no-store, must-revalidate, max-age=0\r\n\r\n{}",
            pool.ping_response
        );
        Self { path: Some(path.clone().into_bytes()), answer: answer.into_bytes() }
    }

    /// Answers if that is what was asked for.
    pub(super) fn serve(&self, exchange: &mut Exchange) -> bool {
        let Some(path) = &self.path else { return false };
        if exchange.params().get(b"SCRIPT_NAME") != Some(path) {
            return false;
        }
        let head = exchange.params().get(b"REQUEST_METHOD") == Some(b"HEAD");
        let body = self.answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
        let _ = exchange.write(if head { &self.answer[..body] } else { &self.answer });
        exchange.finish();
        true
    }
}
