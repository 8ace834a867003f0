//! `ping.path` and `pm.status_path`: answered by the worker itself, without PHP.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use super::authorization::basic_user;
use super::tracker::RequestTracker;
use crate::config::PoolConfig;
use crate::engine::Tracker;
use crate::exchange::Exchange;
use crate::fastcgi::params::Params;
use crate::log::{self, messages::requests::status_unavailable};
use crate::request::{Description, Outcome, Stage};
use crate::status::{self, PageOptions};
use crate::sys::local_time;

/// The ping and status pages of a pool.
#[derive(Debug)]
pub(super) struct Pages {
    pool: String,
    /// Path and text.
    ping: Option<(Vec<u8>, String)>,
    status: Option<Vec<u8>>,
    powered_by: Option<String>,
}

/// An answer.
struct Page {
    status: u16,
    content_type: &'static str,
    /// php-fpm's order of headers differs from page to page.
    typed_first: bool,
    body: Vec<u8>,
}

const TEXT: &str = "text/plain;charset=UTF-8";

impl Pages {
    /// `powered_by` is called only if there are pages.
    pub(super) fn new(pool: &PoolConfig, powered_by: impl FnOnce() -> Option<String>) -> Self {
        let path = |path: &Option<String>| path.clone().map(String::into_bytes);
        let ping = path(&pool.ping_path).map(|path| (path, pool.ping_response.clone()));
        let status = path(&pool.pm_status_path);
        let powered_by = if ping.is_some() || status.is_some() { powered_by() } else { None };
        Self { pool: pool.name.clone(), ping, status, powered_by }
    }

    /// Answers if the request is for one of them; returns whether it was.
    pub(super) fn serve(&self, exchange: &mut Exchange, tracker: &RequestTracker) -> bool {
        if self.ping.is_none() && self.status.is_none() {
            return false;
        }
        let Some(asked) = asked(exchange.params()) else { return false };
        let is_ping = self.ping.as_ref().is_some_and(|(path, _)| path == asked);
        if !is_ping && self.status.as_deref() != Some(asked) {
            return false;
        }
        let user = exchange.params().get(b"HTTP_AUTHORIZATION").and_then(basic_user).unwrap_or_default();
        tracker.describe(&Description { user: &user, ..Description::of(exchange.params()) });
        tracker.stage(Stage::Running);
        let page = match self.ping.as_ref().filter(|_| is_ping) {
            Some(_) if tracker.is_stopping() => {
                Page { status: 503, content_type: TEXT, typed_first: true, body: b"shutting down".to_vec() }
            }
            Some((_, text)) => {
                Page { status: 200, content_type: TEXT, typed_first: true, body: text.clone().into_bytes() }
            }
            None => self.status(exchange, tracker),
        };
        self.send(exchange, tracker, &page);
        true
    }

    fn status(&self, exchange: &Exchange, tracker: &RequestTracker) -> Page {
        let query = exchange.params().get_c(b"QUERY_STRING").map(CStr::to_bytes);
        let options = PageOptions::of(query.unwrap_or_default());
        let Some(snapshot) = tracker.pool_status() else {
            log::say(&status_unavailable(&self.pool));
            let body = b"Internal error. Please review log file for errors.".to_vec();
            return Page { status: 500, content_type: TEXT, typed_first: true, body };
        };
        let date = |at| local_time::local_time(at, c"%d/%b/%Y:%H:%M:%S %z");
        let body = status::render(&snapshot, options, &date);
        Page { status: 200, content_type: options.format.content_type(), typed_first: false, body }
    }

    fn send(&self, exchange: &mut Exchange, tracker: &RequestTracker, page: &Page) {
        const EXPIRES: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
        const CACHE_CONTROL: &str = "no-cache, no-store, must-revalidate, max-age=0";
        let failed = match page.status {
            500 => Some("500 Internal Server Error"),
            503 => Some("503 Service Unavailable"),
            _ => None,
        };
        // As in php-fpm: PHP writes the header's name for text types, php-fpm for the others.
        let type_name = if page.content_type.starts_with("text/") { "Content-type" } else { "Content-Type" };
        let headers = [
            ("Status", failed),
            ("X-Powered-By", self.powered_by.as_deref()),
            (type_name, page.typed_first.then_some(page.content_type)),
            ("Expires", Some(EXPIRES)),
            ("Cache-Control", Some(CACHE_CONTROL)),
            (type_name, (!page.typed_first).then_some(page.content_type)),
        ];
        let lines = headers.iter().filter_map(|(name, value)| Some(format!("{name}: {}\r\n", (*value)?)));
        let mut answer = (lines.collect::<String>() + "\r\n").into_bytes();
        if exchange.params().get(b"REQUEST_METHOD") != Some(b"HEAD") {
            answer.extend_from_slice(&page.body);
        }
        let _ = exchange.write(&answer);
        let header = |name: &[u8]| {
            let mut told = headers.iter().filter_map(|(known, value)| Some((*known, (*value)?)));
            told.find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
        };
        let variable = |name: &[u8]| exchange.params().get_c(name).map(CStr::to_bytes);
        tracker.outcome(&Outcome { status: page.status, memory_peak: 0, header: &header, variable: &variable });
    }
}

/// The path of the page that is requested. As in php-fpm, a request without a method or without a script's path
/// requests none.
fn asked(params: &Params) -> Option<&[u8]> {
    let is_there = |name: &&[u8]| params.get(name).is_some();
    let is_named = [&b"SCRIPT_FILENAME"[..], b"PATH_TRANSLATED"].iter().any(is_there);
    params.get_c(b"SCRIPT_NAME").map(CStr::to_bytes).filter(|_| is_named && is_there(&&b"REQUEST_METHOD"[..]))
}
