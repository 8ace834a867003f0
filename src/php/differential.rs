//! `cgi_fpm_compare_forms()`: runs PHP's readers of forms and ours on the same made-up bodies and compares all that a script can
//! see. Only in a library that was built for this (feature `differential`).
//!
//! For the unsafe blocks below: PHP's variables are at valid addresses (`ffi::host`); a script runs, so they may be read and set, and
//! this is PHP's thread; what is taken out is put back before PHP goes on.
//!
//! The query string is `KIND:SEED:COUNT`; with a kind such as `multipart-show` the first body is shown in any case. The function prints what differs and returns false, or prints nothing and returns true.

#![expect(clippy::multiple_unsafe_ops_per_block, reason = "a test that sets many variables of PHP")]

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt::Write as _;
use std::mem::{ManuallyDrop, replace};
use std::os::unix::ffi::OsStrExt as _;
use std::ptr::null_mut;

use super::body::{Body, copy_from};
use super::context::with;
use super::ffi::{
    self, _php_stream_free, _php_stream_read, _php_stream_seek, _zend_new_array_0, ErrorCallback, HashTable,
    Rfc1867Callback, core_globals, destroy_uploaded_files_hash, executor_globals, php_output_write,
    php_rfc1867_callback, php_std_post_handler, rfc1867_post_handler, sapi_globals, sapi_module,
    sapi_read_standard_form_data, sapi_request_info, zend_error_cb, zend_execute_data, zend_ini_entry, zend_string,
    zval, zval_ptr_dtor,
};
use super::multipart_events::{FileData, FileEnd, FileStart, FormData};
use super::text::c_bytes;
use super::{body_stream, form, ini, input_filter, multipart, multipart_events, value, zend_string as zend_strings};
use crate::escape::{line, lines};
use crate::form::generator::{self, Numbers};

/// `sapi_module.input_filter`
type Filter = unsafe extern "C" fn(c_int, *const c_char, *mut *mut c_char, usize, *mut usize) -> c_uint;

thread_local! {
    static EVENTS: Cell<(u64, u64)> = const { Cell::new((0, u64::MAX)) };
    static MESSAGES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What `read_post` gives of such a body.
pub(super) fn read_at(bytes: &[u8], buffer: &mut [u8], least: usize, at: u64) -> usize {
    // As a connection, it has at times no more than is waited for.
    let most = if at.is_multiple_of(3) { least } else { buffer.len() };
    copy_from(bytes, at, buffer.get_mut(..most).unwrap_or_default())
}

unsafe extern "C" fn record(kind: c_int, _file: *mut zend_string, _line: u32, message: *mut zend_string) {
    // SAFETY: PHP passes a message that lives during the call.
    let message = unsafe { string_bytes(message) };
    MESSAGES.with_borrow_mut(|messages| {
        messages.extend_from_slice(format!("{kind}: ").as_bytes());
        messages.extend_from_slice(message);
        messages.push(b'\n');
    });
}

/// # Safety
/// `string` is live.
unsafe fn string_bytes<'a>(string: *const zend_string) -> &'a [u8] {
    // SAFETY: the caller vouches for a live string.
    let known = unsafe { &*string };
    // SAFETY: a string has as many bytes as it says.
    unsafe { std::slice::from_raw_parts(known.val.as_ptr().cast(), known.len) }
}

/// Settings of one comparison.
struct Case {
    /// The content type, a C string.
    kind: Vec<u8>,
    body: Vec<u8>,
    multipart: bool,
    /// The event that the callback refuses, if any.
    refused: u64,
    callback: bool,
    upload_max_filesize: i64,
    file_uploads: bool,
    max_file_uploads: u64,
    max_parts: i64,
    max_input_vars: i64,
    nesting: i64,
    display_errors: u8,
    filtered: bool,
}

impl Case {
    fn new(numbers: &mut Numbers, multipart: bool) -> Self {
        let form = b"application/x-www-form-urlencoded".to_vec();
        let (mut kind, body) =
            if multipart { generator::multipart(numbers) } else { (form, generator::urlencoded(numbers)) };
        kind.push(0);
        let few = numbers.once_in(8);
        let small = |numbers: &mut Numbers, end| i64::try_from(numbers.below(end)).unwrap_or(0) - 1;
        Self {
            kind,
            body,
            multipart,
            refused: if numbers.once_in(20) { numbers.below(12) } else { u64::MAX },
            callback: !numbers.once_in(4),
            upload_max_filesize: if numbers.once_in(6) { small(numbers, 30) } else { 2 << 20 },
            file_uploads: !numbers.once_in(20),
            max_file_uploads: if numbers.once_in(10) { numbers.below(3) } else { 20 },
            max_parts: if numbers.once_in(10) { small(numbers, 5) } else { -1 },
            max_input_vars: if few { small(numbers, 6) } else { 1000 },
            nesting: if numbers.once_in(8) { small(numbers, 5) } else { 64 },
            display_errors: u8::from(numbers.once_in(2)),
            filtered: !numbers.once_in(4),
        }
    }
}

/// The handler of the function.
pub(super) unsafe extern "C" fn compare(_call: *mut zend_execute_data, result: *mut zval) {
    let query = with(|context| context.env.value(b"QUERY_STRING").map(<[u8]>::to_vec)).flatten().unwrap_or_default();
    let query = String::from_utf8_lossy(&query).into_owned();
    let multipart = query.starts_with('m');
    let mut parts = query.split(':').skip(1).map(|part| part.parse::<u64>().unwrap_or(0));
    let (seed, count) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let mut report = String::new();
    for number in 0..count {
        let seed = seed.wrapping_add(number);
        let case = Case::new(&mut Numbers::new(seed), multipart);
        let [php, ours] = [false, true].map(|ours| run(&case, ours));
        if php != ours || query.contains("show") {
            let _ = writeln!(
                report,
                "seed {seed}\nkind {}\nbody {}\nPHP:\n{php}\nours:\n{ours}",
                line(&case.kind),
                line(&case.body)
            );
            break;
        }
    }
    // SAFETY: a text with its length. A script runs, so output is active.
    unsafe { php_output_write(report.as_ptr().cast(), report.len()) };
    // SAFETY: PHP passes a place for the result, which may be written.
    unsafe { value::set_bool(result, report.is_empty()) };
}

fn undefined() -> zval {
    // SAFETY: a C structure of numbers and pointers, all of which may be zero: the undefined value.
    unsafe { std::mem::zeroed() }
}

/// What a comparison changes in PHP.
struct Saved {
    info: sapi_request_info,
    read: (i64, u8),
    limits: (i64, i64, u8),
    post: zval,
    raw: Option<(*mut zval, zval)>,
    callback: ErrorCallback,
    filter: Option<Filter>,
    numbers: i64,
    body: Body,
    files: zval,
    table: *mut HashTable,
    uploads: (i64, bool),
    told: (Option<Rfc1867Callback>, usize),
    settings: [*mut zend_string; 2],
}

impl Saved {
    /// Takes it, and leaves undefined arrays in place.
    fn take() -> Self {
        let (sapi, core) = (sapi_globals(), core_globals());
        // SAFETY: see the head of this file.
        unsafe {
            Self {
                info: (*sapi).request_info,
                read: ((*sapi).read_post_bytes, (*sapi).post_read),
                limits: ((*core).max_input_vars, (*core).max_input_nesting_level, (*core).display_errors),
                post: replace(&mut (*core).http_globals[0], undefined()),
                raw: input_filter::known().map(|(_, place)| (place, place.replace(undefined()))),
                callback: zend_error_cb().replace(record),
                filter: (*sapi_module()).input_filter,
                numbers: (*executor_globals()).regular_list.nNextFreeElement,
                files: replace(&mut (*core).http_globals[5], undefined()),
                table: replace(&mut (*sapi).rfc1867_uploaded_files, null_mut()),
                uploads: ((*core).upload_max_filesize, (*core).file_uploads),
                told: (*php_rfc1867_callback(), multipart_events::trust(tell as *const () as usize)),
                settings: SETTINGS.map(|name| (*setting(name)).value),
                body: with(|context| replace(&mut context.body, Body::Stream)).unwrap_or_default(),
            }
        }
    }

    /// Frees what the reader has made and puts everything back.
    fn restore(self) {
        let (sapi, core) = (sapi_globals(), core_globals());
        // SAFETY: see the head of this file.
        unsafe {
            let stream = (*sapi).request_info.request_body;
            if !stream.is_null() {
                _php_stream_free(stream, 3);
            }
            zval_ptr_dtor(&raw mut (*core).http_globals[0]);
            if !(*sapi).rfc1867_uploaded_files.is_null() {
                destroy_uploaded_files_hash();
            }
            (*sapi).rfc1867_uploaded_files = self.table;
            zval_ptr_dtor(&raw mut (*core).http_globals[5]);
            (&raw mut (*core).http_globals[5]).write(self.files);
            ((*core).upload_max_filesize, (*core).file_uploads) = self.uploads;
            *php_rfc1867_callback() = self.told.0;
            multipart_events::trust(self.told.1);
            for (name, value) in SETTINGS.into_iter().zip(self.settings) {
                zend_strings::release(replace(&mut (*setting(name)).value, value));
            }
            (&raw mut (*core).http_globals[0]).write(self.post);
            if let Some((place, raw)) = self.raw {
                zval_ptr_dtor(place);
                place.write(raw);
            }
            zend_error_cb().write(self.callback);
            (*sapi_module()).input_filter = self.filter;
            (*sapi).request_info = self.info;
            ((*sapi).read_post_bytes, (*sapi).post_read) = self.read;
            ((*core).max_input_vars, (*core).max_input_nesting_level, (*core).display_errors) = self.limits;
            (*executor_globals()).regular_list.nNextFreeElement = self.numbers;
        }
        with(|context| {
            context.body = self.body;
            context.form.leave();
        });
    }
}

/// Sets PHP up for a body.
fn arrange(case: &Case) {
    MESSAGES.with_borrow_mut(Vec::clear);
    let (sapi, core) = (sapi_globals(), core_globals());
    with(|context| context.body = Body::Memory(case.body.clone()));
    EVENTS.set((0, case.refused));
    let limits = [case.max_file_uploads.to_string(), case.max_parts.to_string()];
    // SAFETY: see the head of this file.
    unsafe {
        for (name, value) in SETTINGS.into_iter().zip(limits) {
            (*setting(name)).value = zend_strings::persistent(value.as_bytes());
        }
        ((*core).upload_max_filesize, (*core).file_uploads) = (case.upload_max_filesize, case.file_uploads);
        *php_rfc1867_callback() = case.callback.then_some(tell as Rfc1867Callback);
        if !case.filtered {
            (*sapi_module()).input_filter = Some(ffi::host().php_default_input_filter);
        }
        (*sapi).request_info.content_length = i64::try_from(case.body.len()).unwrap_or(0);
        (*sapi).request_info.request_body = null_mut();
        (*sapi).read_post_bytes = 0;
        (*sapi).post_read = 0;
        (*core).max_input_vars = case.max_input_vars;
        (*core).max_input_nesting_level = case.nesting;
        (*core).display_errors = case.display_errors;
        value::set_array(&raw mut (*core).http_globals[0], _zend_new_array_0());
    }
}

/// Lets one reader read the body. PHP passes it a copy of the value of `$_POST`.
fn read(case: &Case, ours: bool) {
    let mut kind = case.kind.clone();
    let kind = kind.as_mut_ptr().cast::<c_char>();
    // SAFETY: see the head of this file.
    unsafe {
        let mut array = ManuallyDrop::new((&raw const (*core_globals()).http_globals[0]).read());
        let array = (&raw mut array).cast();
        match (case.multipart, ours) {
            (false, true) => {
                body_stream::read_form();
                form::handle(kind, array);
            }
            (false, false) => {
                sapi_read_standard_form_data();
                php_std_post_handler(kind, array);
            }
            (true, true) => multipart::handle(kind, array),
            (true, false) => rfc1867_post_handler(kind, array),
        }
    }
}

/// Stands for ext/session's callback: records what it is told, and refuses one event.
unsafe extern "C" fn tell(event: c_uint, data: *mut c_void, extra: *mut *mut c_void) -> c_int {
    let (number, refused) = EVENTS.get();
    EVENTS.set((number + 1, refused));
    let mut text = format!("event {event}");
    // SAFETY: see the head of this file; the structure is that of the event.
    unsafe {
        let _ = write!(text, " extra {} seen {}", *extra as usize, *data.cast::<usize>());
        *extra = std::ptr::without_provenance_mut(*extra as usize + 1);
        match event {
            1 => {
                let data = &*data.cast::<FormData>();
                let value = std::slice::from_raw_parts((*data.value).cast::<u8>(), data.length);
                let name = c_bytes(data.name).unwrap_or_default();
                let new = data.new_length.as_ref();
                let _ = write!(text, " {} {} {} {new:?}", line(name), line(value), data.length);
            }
            2 => {
                let data = &*data.cast::<FileStart>();
                let (name, file) = (c_bytes(data.name), c_bytes(*data.file));
                let _ = write!(text, " {} {}", line(name.unwrap_or_default()), line(file.unwrap_or_default()));
            }
            3 => {
                let data = &*data.cast::<FileData>();
                let bytes = std::slice::from_raw_parts(data.data.cast::<u8>(), data.length);
                let _ = write!(text, " {} {} {} {}", data.offset, data.length, *data.new_length, line(bytes));
            }
            4 => {
                let data = &*data.cast::<FileEnd>();
                let there = c_bytes(data.file).map(|path| std::fs::metadata(OsStr::from_bytes(path)).is_ok());
                let _ = write!(text, " {there:?} {}", data.fault);
            }
            _ => {}
        }
    }
    MESSAGES.with_borrow_mut(|messages| messages.extend_from_slice(format!("{text}\n").as_bytes()));
    if number == refused { ffi::FAILURE } else { ffi::SUCCESS }
}

/// Settings that have no variable of their own.
const SETTINGS: [&CStr; 2] = [c"max_file_uploads", c"max_multipart_body_parts"];

fn setting(name: &CStr) -> *mut zend_ini_entry {
    ini::find(name).unwrap_or(null_mut())
}

/// Lets one reader read a body, and describes the outcome. PHP's state is as before afterwards.
fn run(case: &Case, ours: bool) -> String {
    let saved = Saved::take();
    arrange(case);
    read(case, ours);
    let mut outcome = String::new();
    let sapi = sapi_globals();
    // SAFETY: see the head of this file.
    unsafe {
        describe(&raw const (*core_globals()).http_globals[0], true, &mut outcome);
        if let Some((place, _)) = saved.raw {
            outcome.push_str("\nraw ");
            describe(place, false, &mut outcome);
        }
        outcome.push_str("\nfiles ");
        describe(&raw const (*core_globals()).http_globals[5], true, &mut outcome);
        describe_uploads((*sapi).rfc1867_uploaded_files, &mut outcome);
        let _ = write!(outcome, "\nread {} {}", (*sapi).read_post_bytes, (*sapi).post_read);
        let _ = write!(outcome, "\nnumbers {}", (*executor_globals()).regular_list.nNextFreeElement - saved.numbers);
        describe_stream((*sapi).request_info.request_body, &mut outcome);
    }
    let _ = write!(outcome, "\n{}", MESSAGES.with_borrow(|messages| lines(messages)));
    saved.restore();
    outcome
}

/// Writes what is in the uploaded files, and replaces their random names by numbers.
///
/// # Safety
/// `table` is null or live.
unsafe fn describe_uploads(table: *const HashTable, out: &mut String) {
    if table.is_null() {
        out.push_str("\nno table");
        return;
    }
    // SAFETY: the caller vouches for a live table.
    let known = unsafe { &*table };
    for at in 0..known.nNumUsed as usize {
        // SAFETY: that many elements have been filled.
        let (value, key, _) = unsafe { element(known, false, at) };
        // SAFETY: an element of a live table, whose values are pointers to strings.
        let (path, same) = unsafe { (string_bytes(key), std::ptr::eq(key, value::pointer::<zend_string>(value))) };
        let content = std::fs::read(OsStr::from_bytes(path));
        *out = out.replace(&line(path), &format!("upload {at}"));
        let _ = write!(
            out,
            "\nupload {at} {same} {}",
            line(&content.unwrap_or_else(|fault| fault.to_string().into_bytes()))
        );
    }
}

/// Writes what positions and content of a stream are after some seeks.
///
/// # Safety
/// `stream` is null or live.
unsafe fn describe_stream(stream: *mut ffi::_php_stream, out: &mut String) {
    if stream.is_null() {
        return;
    }
    // PHP's memory streams refuse what files allow, and a small body is in one on both sides.
    for (offset, from) in [(0, 2), (-3, 2), (5, 0), (70_000, 0), (1, 1), (-1, 0), (-9, 1), (3, 2), (0, 0)] {
        // SAFETY: the caller vouches for a live stream.
        let sought = unsafe { _php_stream_seek(stream, offset, from) };
        let mut buffer = [0u8; 8];
        // SAFETY: the caller vouches for a live stream; the buffer has that size.
        let read = unsafe { _php_stream_read(stream, buffer.as_mut_ptr().cast(), buffer.len()) };
        // SAFETY: the caller vouches for a live stream.
        let position = unsafe { (*stream).position };
        let _ = write!(out, "\nseek {offset} {from}: {sought} {read} {position} {buffer:?}");
    }
    // SAFETY: the caller vouches for a live stream.
    unsafe { _php_stream_seek(stream, 0, 0) };
    let mut whole = Vec::new();
    let mut buffer = [0u8; 5000];
    loop {
        // SAFETY: the caller vouches for a live stream; the buffer has that size.
        let read = unsafe { _php_stream_read(stream, buffer.as_mut_ptr().cast(), buffer.len()) };
        let Some(bytes) = usize::try_from(read).ok().filter(|&read| read > 0).and_then(|read| buffer.get(..read))
        else {
            break;
        };
        whole.extend_from_slice(bytes);
    }
    let _ = write!(out, "\ncontent {}", line(&whole));
}

/// Writes a value with everything in it, also whether strings are interned, which scripts cannot see of ext/filter's copies.
///
/// # Safety
/// `value` is live.
unsafe fn describe(value: *const zval, interned: bool, out: &mut String) {
    // SAFETY: the caller vouches for a live value; its content is copied.
    let content = unsafe { (*value).value };
    // SAFETY: the caller vouches for a live value.
    match unsafe { value::kind(value) } {
        // SAFETY: the kind says that it is a number.
        4 => drop(write!(out, "{}", unsafe { content.lval })),
        6 => {
            // SAFETY: the kind says that it is a string.
            let bytes = unsafe { string_bytes(content.str_) };
            // SAFETY: as above.
            let interned = interned && value::counted_info(unsafe { &(*content.str_).gc }) & (1 << 6) != 0;
            let _ = write!(out, "{}'{}'", if interned { "i" } else { "" }, line(bytes));
        }
        // SAFETY: the kind says that it is an array.
        7 => unsafe { describe_array(content.arr, interned, out) },
        other => drop(write!(out, "kind {other}")),
    }
}

/// # Safety
/// `table` is live.
unsafe fn describe_array(table: *const HashTable, interned: bool, out: &mut String) {
    // SAFETY: the caller vouches for a live table.
    let known = unsafe { &*table };
    // SAFETY: every member of this union is a plain number.
    let packed = unsafe { known.u.flags } & 4 != 0;
    let _ = write!(out, "{}next {} [", if packed { "packed " } else { "" }, known.nNextFreeElement);
    for at in 0..known.nNumUsed as usize {
        // SAFETY: that many elements have been filled.
        let (value, key, number) = unsafe { element(known, packed, at) };
        // SAFETY: as above.
        if unsafe { value::kind(value) } == 0 {
            continue;
        }
        if key.is_null() {
            let _ = write!(out, "{}", number.cast_signed());
        } else {
            // SAFETY: the key of an element lives as long as it.
            let _ = write!(out, "\"{}\"", line(unsafe { string_bytes(key) }));
        }
        out.push_str(" => ");
        // SAFETY: an element of a live table.
        unsafe { describe(value, interned, out) };
        out.push_str(", ");
    }
    out.push(']');
}

/// # Safety
/// The table has an element at that place.
unsafe fn element(table: &HashTable, packed: bool, at: usize) -> (*const zval, *const zend_string, u64) {
    // SAFETY: the caller vouches for the element; a packed table since PHP 8.2 has values only.
    unsafe {
        if packed {
            (table.__bindgen_anon_1.arPacked.add(at), null_mut(), at as u64)
        } else {
            let bucket = table.__bindgen_anon_1.arData.add(at);
            (&raw const (*bucket).val, (*bucket).key, (*bucket).h)
        }
    }
}
