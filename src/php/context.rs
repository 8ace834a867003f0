//! The context of the current request: what `SG(server_context)` points to while PHP works on it.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;

use super::body::Body;
use super::borrow::Borrow;
use super::ffi::sapi_globals;
use super::form_memory::Form;
use super::headers::Headers;
use super::status_entries::{Entry, Plain, entries};
use super::text::c_bytes;
use crate::engine::{Request, Tracker};
use crate::exchange::Exchange;
use crate::request::{Description, Outcome};
use crate::script::env::{Env, Text};

/// It is kept from one request to the next, so that its buffers are reused.
#[derive(Debug, Default)]
pub(super) struct Context {
    exchange: Option<NonNull<Exchange>>,
    tracker: Option<NonNull<dyn Tracker>>,
    pub(super) env: Env,
    /// A message was sent as FCGI_STDERR, so the next one begins with `; `.
    pub(super) logged: bool,
    /// Where the body is.
    pub(super) body: Body,
    /// The form that our reader reads.
    pub(super) form: Form,
    /// The client sent less of the body than CONTENT_LENGTH announced.
    pub(super) cut_off: bool,
    /// The settings of php.ini and .user.ini for the script's directory were applied.
    pub(super) ini_applied: bool,
    /// The script's path.
    pub(super) script: Option<Text>,
    /// The pool's state, while `fpm_get_status` passes it to PHP.
    status: Vec<Entry>,
}

impl Context {
    /// Begins a request: PHP's callbacks find it from now on. The caller does not use `request` before `leave`.
    pub(super) fn enter(&mut self, request: Request<'_>) {
        let Request { exchange, tracker } = request;
        let (bytes, index) = exchange.params().parts();
        self.env.fill(bytes, index);
        self.logged = false;
        (self.cut_off, self.ini_applied) = (false, false);
        (self.exchange, self.tracker) = (Some(NonNull::from(exchange)), Some(NonNull::from(tracker)));
        // SAFETY: SG(server_context) is at a valid address (`ffi::host`). The context is boxed in `Php` and outlives the request,
        // and `leave` clears the pointer.
        unsafe { (*sapi_globals()).server_context = (&raw mut *self).cast() };
    }

    /// Ends the request.
    pub(super) fn leave(&mut self) {
        (self.exchange, self.tracker) = (None, None);
        self.body = Body::Stream;
        self.form.leave();
        self.script = None;
        // SAFETY: SG(server_context) is at a valid address (`ffi::host`). No code of PHP's runs between requests, so none uses it.
        unsafe { (*sapi_globals()).server_context = std::ptr::null_mut() };
    }

    /// The exchange with the client.
    pub(super) fn exchange(&mut self) -> Option<&mut Exchange> {
        // SAFETY: `enter` made it from a live `&mut` that its caller does not use before `leave`, and `&mut self` lends it once.
        self.exchange.map(|mut exchange| unsafe { exchange.as_mut() })
    }

    /// The tracker that the progress of the request is reported to.
    pub(super) fn tracker(&self) -> Option<&dyn Tracker> {
        // SAFETY: `enter` made it from a reference that is live until `leave`, and only shared references are made of it.
        self.tracker.map(|tracker| unsafe { tracker.as_ref() })
    }

    /// The request, to be finished.
    fn request(&mut self) -> Option<Request<'_>> {
        let (mut exchange, tracker) = self.exchange.zip(self.tracker)?;
        // SAFETY: `enter` made it from a live `&mut` that its caller does not use before `leave`, and `&mut self` lends it once.
        let exchange = unsafe { exchange.as_mut() };
        // SAFETY: `enter` made it from a reference that is live until `leave`, and only shared references are made of it.
        let tracker = unsafe { tracker.as_ref() };
        Some(Request { exchange, tracker })
    }

    /// Finishes the answer, unless that was done.
    pub(super) fn finish(&mut self) {
        self.request().map(|mut request| request.finish());
    }

    /// Finishes the answer of a script that goes on.
    pub(super) fn finish_early(&mut self) {
        self.request().map(|mut request| request.finish_early());
    }

    /// Reads the pool's state and keeps it. False: there is none.
    pub(super) fn take_status(&mut self) -> bool {
        let snapshot = self.tracker().and_then(Tracker::pool_status);
        self.status = snapshot.as_ref().map(entries).unwrap_or_default();
        snapshot.is_some()
    }

    /// An entry of the pool's state that `take_status` has kept.
    pub(super) fn status_entry(&self, at: usize) -> Option<Plain> {
        self.status.get(at).map(Entry::plain)
    }

    /// Drops the kept state: PHP has its own copy now.
    pub(super) fn drop_status(&mut self) {
        self.status = Vec::new();
    }

    /// Writes the request into the scoreboard, as PHP has parsed it.
    pub(super) fn describe(&self) {
        // SAFETY: SG(request_info) is at a valid address (`ffi::host`), and PHP is not called while it is borrowed.
        let info = unsafe { &(*sapi_globals()).request_info };
        // SAFETY: each member is null or a C string that PHP frees at the end of the request. The texts are used before PHP is
        // called.
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

    /// Writes the result of the request into the scoreboard and the access log.
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

    /// A text of the request as a C string that stays valid until the next request.
    pub(super) fn c_string(&self, text: Option<Text>) -> *mut c_char {
        text.map_or(std::ptr::null_mut(), |text| self.env.pointer(text).cast_mut().cast())
    }

    /// The value of a variable as such a C string, by its name.
    #[inline]
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

/// A variable for C code: two C strings that stay valid until the next request.
#[derive(Clone, Copy)]
pub(super) struct Variable {
    pub(super) name: *const c_char,
    pub(super) value: *mut c_char,
    /// The value's length as it was sent, with any NUL bytes. `$_SERVER` has it cut at the first one, `getenv()` whole.
    pub(super) whole_length: usize,
}

impl Variable {
    pub(super) fn name_length(self) -> usize {
        // SAFETY: only `Context::nth` makes variables, from texts in `Env` that end in a NUL byte.
        unsafe { libc::strlen(self.name) }
    }

    pub(super) fn length(self) -> usize {
        // SAFETY: only `Context::nth` makes variables, from texts in `Env` that end in a NUL byte.
        unsafe { libc::strlen(self.value) }
    }
}

/// Gives `work` the context of the current request. `None`: no request runs.
///
/// `work` must not call PHP: PHP could call back and come here again, which would make a second `&mut` to the same context. A build
/// with debug assertions panics then.
pub(super) fn with<R>(work: impl FnOnce(&mut Context) -> R) -> Option<R> {
    let _borrow = Borrow::begin();
    // SAFETY: SG(server_context) is at a valid address (`ffi::host`). Copies a pointer.
    let context: *mut c_void = unsafe { (*sapi_globals()).server_context };
    // SAFETY: it is null, or the context that `enter` stored, which is boxed in `Php` and so outlives the request. This is the only
    // reference to it: `enter` and `leave` run between requests, and `with` is not entered twice (`Borrow`).
    unsafe { context.cast::<Context>().as_mut() }.map(work)
}
