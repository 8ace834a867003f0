//! The request in hand: what `SG(server_context)` points to while PHP works on it.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;

use super::body::Body;
use super::ffi::sapi_globals;
use super::headers::Headers;
use super::status_entries::{Entry, Plain, entries};
use super::text::c_bytes;
use crate::engine::{Request, Tracker};
use crate::exchange::Exchange;
use crate::request::{Description, Outcome};
use crate::script::env::{Env, Text};

/// Kept from request to request, so that its buffers are.
#[derive(Debug, Default)]
pub(super) struct Context {
    exchange: Option<NonNull<Exchange>>,
    tracker: Option<NonNull<dyn Tracker>>,
    pub(super) env: Env,
    /// A message has gone to FCGI_STDERR; the next one is set off by `; `.
    pub(super) logged: bool,
    /// Where the body is.
    pub(super) body: Body,
    /// Less of the body has come than was announced.
    pub(super) cut_off: bool,
    /// What php.ini and .user.ini say for the script's directory is in force.
    pub(super) settled: bool,
    /// The script's path.
    pub(super) script: Option<Text>,
    /// The pool's state on its way to a script.
    status: Vec<Entry>,
}

impl Context {
    /// Takes a request up: callbacks find it from now on.
    pub(super) fn enter(&mut self, request: Request<'_>) {
        let Request { exchange, tracker } = request;
        let (bytes, places) = exchange.params().layout();
        self.env.fill(bytes, places);
        self.logged = false;
        (self.cut_off, self.settled) = (false, false);
        (self.exchange, self.tracker) = (Some(NonNull::from(exchange)), Some(NonNull::from(tracker)));
        // SAFETY: PHP's globals live as long as the process; the context outlives the request, `leave` takes it back.
        unsafe { (*sapi_globals()).server_context = (&raw mut *self).cast() };
    }

    /// The request is over.
    pub(super) fn leave(&mut self) {
        (self.exchange, self.tracker) = (None, None);
        self.body = Body::Stream;
        self.script = None;
        // SAFETY: PHP's globals live as long as the process.
        unsafe { (*sapi_globals()).server_context = std::ptr::null_mut() };
    }

    /// The way to the client.
    pub(super) fn exchange(&mut self) -> Option<&mut Exchange> {
        // SAFETY: set by `enter` from a live reference, which its caller doesn't use before `leave`.
        self.exchange.map(|mut exchange| unsafe { exchange.as_mut() })
    }

    /// Where the request's progress is reported.
    pub(super) fn tracker(&self) -> Option<&dyn Tracker> {
        // SAFETY: set by `enter` from a reference that is live until `leave`, and only shared references are made of it.
        self.tracker.map(|tracker| unsafe { tracker.as_ref() })
    }

    /// The request itself, to be finished.
    fn request(&mut self) -> Option<Request<'_>> {
        let (mut exchange, tracker) = self.exchange.zip(self.tracker)?;
        // SAFETY: as in `exchange`.
        let exchange = unsafe { exchange.as_mut() };
        // SAFETY: as in `tracker`.
        let tracker = unsafe { tracker.as_ref() };
        Some(Request { exchange, tracker })
    }

    /// Finishes the answer, unless that is done.
    pub(super) fn finish(&mut self) {
        self.request().map(|mut request| request.finish());
    }

    /// Finishes the answer of a script that goes on.
    pub(super) fn finish_early(&mut self) {
        self.request().map(|mut request| request.finish_early());
    }

    /// Asks for the pool's state and keeps it; false where nobody knows it.
    pub(super) fn take_status(&mut self) -> bool {
        let snapshot = self.tracker().and_then(Tracker::pool_status);
        self.status = snapshot.as_ref().map(entries).unwrap_or_default();
        snapshot.is_some()
    }

    /// An entry of what is kept of the pool's state.
    pub(super) fn status_entry(&self, at: usize) -> Option<Plain> {
        self.status.get(at).map(Entry::plain)
    }

    /// It has gone over to PHP.
    pub(super) fn drop_status(&mut self) {
        self.status = Vec::new();
    }

    /// Tells the scoreboard who asks for what, as PHP has understood it.
    pub(super) fn describe(&self) {
        // SAFETY: PHP's globals live as long as the process.
        let info = unsafe { &(*sapi_globals()).request_info };
        // SAFETY: null or C strings, of the request or of PHP's.
        let text = |text: *const c_char| unsafe { c_bytes(text) }.unwrap_or_default();
        let description = Description {
            method: text(info.request_method),
            uri: text(info.request_uri),
            query: text(info.query_string),
            user: text(info.auth_user),
            script: text(info.path_translated),
            content_length: u64::try_from(info.content_length).unwrap_or(0),
        };
        if let Some(tracker) = self.tracker() {
            tracker.describe(&description);
        }
    }

    /// Tells how the request went.
    pub(super) fn report_outcome(&self, status: u16, memory_peak: u64, headers: Headers) {
        let Some(tracker) = self.tracker() else { return };
        let env = &self.env;
        tracker.outcome(&Outcome {
            status,
            memory_peak,
            header: &|name| headers.value(name),
            variable: &|name| env.value(name),
        });
    }

    /// A variable as a C string that stays until the next request.
    pub(super) fn c_string(&self, text: Option<Text>) -> *mut c_char {
        text.map_or(std::ptr::null_mut(), |text| self.env.pointer(text).cast_mut().cast())
    }

    /// The same, by name.
    pub(super) fn variable(&self, name: &[u8]) -> *mut c_char {
        self.c_string(self.env.get(name))
    }

    /// The `at`th variable in php-fpm's order.
    pub(super) fn nth(&self, at: usize) -> Option<Variable> {
        let (name, value) = self.env.nth(at)?;
        let whole_length = value.len();
        let (name, value) = (self.c_string(Some(name)), self.c_string(Some(value)));
        Some(Variable { name, value, whole_length })
    }
}

/// A variable for C code: two C strings that stay until the next request.
#[derive(Clone, Copy)]
pub(super) struct Variable {
    pub(super) name: *const c_char,
    pub(super) value: *mut c_char,
    /// The value's length as it was sent, with any NUL bytes. `$_SERVER` has it cut at the first one, `getenv()` whole.
    pub(super) whole_length: usize,
}

impl Variable {
    pub(super) fn name_length(self) -> usize {
        // SAFETY: `Context::nth` makes variables, of texts that a NUL follows.
        unsafe { libc::strlen(self.name) }
    }

    pub(super) fn length(self) -> usize {
        // SAFETY: as above.
        unsafe { libc::strlen(self.value) }
    }
}

/// Works on the request in hand; `None`: there is none. `work` must not call PHP, which could come back here.
pub(super) fn with<R>(work: impl FnOnce(&mut Context) -> R) -> Option<R> {
    // SAFETY: PHP's globals live as long as the process.
    let context: *mut c_void = unsafe { (*sapi_globals()).server_context };
    // SAFETY: null or the context that `enter` put there; only one such reference exists, because `work` doesn't call PHP.
    unsafe { context.cast::<Context>().as_mut() }.map(work)
}
