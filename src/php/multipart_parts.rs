//! The parts of a multipart form, while it is read: calls without PHP, each of which borrows the context.

use std::collections::HashSet;
use std::ffi::{c_char, c_int};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{FromRawFd as _, OwnedFd};

use super::context::{Context, with};
use super::ffi::sapi_globals;
use super::multipart_state::{LinkState, Parts};
use crate::form::multipart::headers::Headers;
use crate::form::multipart::names::{self, FileName};
use crate::form::multipart::window::{Connection, Piece, Window};

/// What comes next in the body.
pub(super) enum Next {
    /// Nothing.
    Over,
    /// A part without `Content-Disposition`.
    Undescribed,
    Field,
    File,
    /// A file whose field has no name.
    Unnamed,
    /// Neither of them has a name.
    Nameless,
}

struct Link<'a> {
    context: &'a mut Context,
    state: &'a mut LinkState,
}

impl Connection for Link<'_> {
    fn read(&mut self, buffer: &mut [u8], least: usize) -> usize {
        let left = usize::try_from(self.state.length.saturating_sub(self.state.received)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        let count = self.context.read_body_some(buffer, least.min(most), self.state.received);
        self.state.received += count as u64;
        count
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        // PHP does not go on after an incomplete write, either.
        self.state.file.as_mut().is_some_and(|file| file.write(bytes).is_ok_and(|count| count == bytes.len()))
    }
}

/// Begins a form. `None`: no request runs.
pub(super) fn begin(boundary: &[u8], length: u64) -> Option<()> {
    /// How much is read and written at once.
    const MOST: u64 = if cfg!(feature = "differential") { 12 << 10 } else { 256 << 10 };
    with(|context| {
        let most = usize::try_from(length.min(MOST)).unwrap_or(0);
        let window = Window::new(boundary, context.form.take_memory(), most);
        let link = LinkState { length, received: 0, file: None };
        context.form.parts = Some(Box::new(Parts {
            window,
            headers: Headers::default(),
            name: Vec::new(),
            file_name: Vec::new(),
            in_files: FileName::new(b""),
            field: Vec::new(),
            value: Vec::new(),
            protected: HashSet::new(),
            link,
        }));
    })
}

/// Calls `work` with the parts and with the connection, and tells PHP how far the body was read.
fn reading<R: Default>(work: impl FnOnce(&mut Parts, &mut dyn Connection) -> R) -> R {
    let done = with(|context| {
        let mut parts = context.form.parts.take()?;
        let mut state = std::mem::take(&mut parts.link);
        let result = work(&mut parts, &mut Link { context, state: &mut state });
        parts.link = state;
        let seen = parts.window.seen();
        context.form.parts = Some(parts);
        Some((result, seen))
    });
    let (result, seen) = done.flatten().unwrap_or_default();
    // SAFETY: SG(read_post_bytes) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    unsafe { (*sapi_globals()).read_post_bytes = i64::try_from(seen).unwrap_or(i64::MAX) };
    result
}

fn in_parts<R>(work: impl FnOnce(&mut Parts) -> R) -> Option<R> {
    with(|context| context.form.parts.as_deref_mut().map(work)).flatten()
}

/// SG(read_post_bytes)
pub(super) fn seen() -> usize {
    in_parts(|parts| usize::try_from(parts.window.seen()).unwrap_or(usize::MAX)).unwrap_or(0)
}

/// Reads the headers of the next part.
pub(super) fn next() -> Next {
    reading(|parts, connection| {
        if parts.window.is_over(connection) {
            return Some(Next::Over);
        }
        let Some(headers) = Headers::read(&mut parts.window, connection) else { return Some(Next::Over) };
        parts.headers = headers;
        let Some(disposition) = parts.headers.disposition() else { return Some(Next::Undescribed) };
        let next = match (&disposition.name, &disposition.file) {
            (Some(_), None) => Next::Field,
            (Some(_), Some(_)) => Next::File,
            (None, Some(_)) => Next::Unnamed,
            (None, None) => Next::Nameless,
        };
        parts.name = ended(disposition.name.unwrap_or_default());
        parts.file_name = ended(disposition.file.unwrap_or_default());
        Some(next)
    })
    .unwrap_or(Next::Over)
}

/// A text as a C string.
fn ended(mut text: Vec<u8>) -> Vec<u8> {
    text.push(0);
    text
}

fn without_end(text: &[u8]) -> &[u8] {
    text.strip_suffix(&[0]).unwrap_or(text)
}

/// Reads the value of a field: its bytes, which stay until the next part, and their number.
pub(super) fn read_value() -> (*const c_char, usize) {
    reading(|parts, connection| {
        parts.value.clear();
        loop {
            let piece = parts.window.read(connection);
            if piece.length() == 0 {
                break;
            }
            parts.value.extend_from_slice(parts.window.bytes(&piece));
        }
    });
    in_parts(|parts| (parts.value.as_ptr().cast(), parts.value.len())).unwrap_or((c"".as_ptr(), 0))
}

/// The name of the field.
pub(super) fn name() -> *const c_char {
    in_parts(|parts| parts.name.as_ptr().cast()).unwrap_or(c"".as_ptr())
}

/// Names a field that has no name.
pub(super) fn set_name(number: u32) {
    in_parts(|parts| parts.name = ended(number.to_string().into_bytes()));
}

/// The name of the field as it is registered. `None`: a file has that name.
pub(super) fn unprotected_name() -> Option<*const c_char> {
    in_parts(|parts| unprotected(&mut parts.name, &parts.protected)).flatten()
}

fn unprotected(name: &mut Vec<u8>, protected: &HashSet<Vec<u8>>) -> Option<*const c_char> {
    name.pop();
    names::normalize(name);
    let free = !protected.contains(name);
    name.push(0);
    free.then(|| name.as_ptr().cast())
}

/// Whether the field limits the size of files.
pub(super) fn is_max_file_size() -> bool {
    in_parts(|parts| without_end(&parts.name).eq_ignore_ascii_case(b"MAX_FILE_SIZE")).unwrap_or(false)
}

/// Whether the name of the field may be that of a file.
pub(super) fn may_be_file() -> bool {
    in_parts(|parts| names::brackets_match(without_end(&parts.name))).unwrap_or(false)
}

/// The name of the file.
pub(super) fn file_name() -> *const c_char {
    in_parts(|parts| parts.file_name.as_ptr().cast()).unwrap_or(c"".as_ptr())
}

/// The name of the file without the path before it.
pub(super) fn base_name() -> (*const c_char, usize) {
    let base = in_parts(|parts| {
        let base = names::base(without_end(&parts.file_name));
        (base.as_ptr().cast(), base.len())
    });
    base.unwrap_or((c"".as_ptr(), 0))
}

/// The length of the name of the file.
pub(super) fn file_name_length() -> usize {
    in_parts(|parts| without_end(&parts.file_name).len()).unwrap_or(0)
}

/// The content type of the file.
pub(super) fn content_type() -> (*const c_char, usize) {
    let content_type = in_parts(|parts| {
        let content_type = parts.headers.content_type();
        (content_type.as_ptr().cast(), content_type.len())
    });
    content_type.unwrap_or((c"".as_ptr(), 0))
}

/// Forgets what was not written yet of a file that is not kept.
pub(super) fn discard() {
    in_parts(|parts| parts.window.begin_file());
}

/// Takes over the descriptor of the file's copy.
///
/// # Safety
/// `descriptor` is open and no value owns it.
pub(super) unsafe fn begin_file(descriptor: c_int) {
    // SAFETY: the caller vouches for the descriptor.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    in_parts(|parts| {
        parts.window.begin_file();
        parts.link.file = Some(File::from(descriptor));
    });
}

/// Reads the next piece of a file.
pub(super) fn read_piece() -> Option<Piece> {
    reading(|parts, connection| Some(parts.window.read(connection)))
}

/// Where the bytes of the piece are that was read last.
pub(super) fn bytes_of(piece: &Piece) -> *const c_char {
    in_parts(|parts| parts.window.bytes(piece).as_ptr().cast()).unwrap_or(c"".as_ptr())
}

/// Adds that piece to the file.
pub(super) fn keep(piece: &Piece) {
    in_parts(|parts| parts.window.keep(piece));
}

/// Closes the file. False: it could not be written.
pub(super) fn close_file() -> bool {
    let written = reading(|parts, connection| parts.window.flush(connection));
    in_parts(|parts| parts.link.file = None);
    written
}

/// Begins to register a file.
pub(super) fn begin_fields() {
    in_parts(|parts| parts.in_files = FileName::new(without_end(&parts.name)));
}

/// Chooses the field of the file that is registered next.
pub(super) fn set_field(field: &[u8]) {
    in_parts(|parts| parts.field = ended(parts.in_files.field(field)));
}

/// The field.
pub(super) fn field() -> *const c_char {
    in_parts(|parts| parts.field.as_ptr().cast()).unwrap_or(c"".as_ptr())
}

/// The field as it is registered. `None`: its name is protected.
pub(super) fn unprotected_field() -> Option<*const c_char> {
    in_parts(|parts| unprotected(&mut parts.field, &parts.protected)).flatten()
}

/// Protects the name of the file, and `tmp_name` of it, which becomes the field that is registered next.
pub(super) fn protect() {
    in_parts(|parts| {
        parts.name.pop();
        names::normalize(&mut parts.name);
        parts.protected.insert(parts.name.clone());
        parts.in_files.rename(&parts.name);
        parts.name.push(0);
        let mut field = parts.in_files.field(b"tmp_name");
        names::normalize(&mut field);
        parts.protected.insert(field.clone());
        parts.field = ended(field);
    });
}

/// Ends the form.
pub(super) fn end() {
    with(|context| context.form.end_parts());
}
