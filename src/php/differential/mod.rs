//! `cgi_fpm_compare_forms()`: runs PHP's readers of forms and ours on the same made-up bodies and compares all that a script can
//! see. Only in a library that was built for this (feature `differential`).
//!
//! For the unsafe blocks below: PHP's variables are at valid addresses (`ffi::host`); a script runs, so they may be read and set, and
//! this is PHP's thread; what is taken out is put back before PHP goes on.
//!
//! The query string is `KIND:SEED:COUNT`; with a kind such as `multipart-show` the first body is shown in any case. The function prints
//! what differs and returns false, or prints nothing and returns true.

#![expect(clippy::multiple_unsafe_ops_per_block, reason = "a test that sets many variables of PHP")]

mod describe;
mod events;
mod state;

use std::ffi::c_char;
use std::fmt::Write as _;
use std::mem::ManuallyDrop;

use self::describe::{describe, describe_stream, describe_uploads};
use self::state::{Saved, arrange};
use super::body::copy_from;
use super::context::with;
use super::ffi::{
    core_globals, executor_globals, php_output_write, php_std_post_handler, rfc1867_post_handler, sapi_globals,
    sapi_read_standard_form_data, zend_execute_data, zval,
};
use super::{body_stream, form, multipart, value};
use crate::escape::line;
use crate::form::generator::{self, Numbers};

/// What `read_post` gives of such a body.
pub(super) fn read_at(bytes: &[u8], buffer: &mut [u8], least: usize, at: u64) -> usize {
    // As a connection, it has at times no more than is waited for.
    let most = if at.is_multiple_of(3) { least } else { buffer.len() };
    copy_from(bytes, at, buffer.get_mut(..most).unwrap_or_default())
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
    let _ = write!(outcome, "\n{}", events::messages());
    saved.restore();
    outcome
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
