//! Fills `SG(request_info)` before PHP starts a request, as php-fpm does.

use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use super::body::Body;
use super::context::{Context, with};
use super::ffi::{core_globals, php_handle_auth_data, sapi_globals, tsrm_realpath};
use super::settings::settings;
use super::text::{PATH_MAX, c_bytes, with_path};
use super::{memory, realpath_cache};
use crate::script::resolve::{Files, Script, Settings, resolve};

/// Stands for HTTP/1.0, as in php-fpm: the protocol is not known.
const PROTOCOL: i32 = 1000;

/// Finds the script and fills in the members. May bail out.
pub(super) fn describe() {
    let script = with(find).flatten();
    with(|context| fill(context, script));
    let Some(script) = script else { return };
    let path = with(|context| context.c_string(script.path)).unwrap_or(null_mut());
    // SAFETY: null or a C string in the request's variables, which stay until the next request.
    if let Some(bytes) = unsafe { c_bytes(path) } {
        // SAFETY: a text with its length, and the request is about to start. PHP may free the path, so it has to be in PHP's
        // memory. The call may bail out; this frame owns nothing.
        let copy = unsafe { memory::copy(path, bytes.len()) };
        // SAFETY: SG(request_info.path_translated) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
        unsafe { (*sapi_globals()).request_info.path_translated = copy };
    }
    let auth = with(|context| context.variable(b"HTTP_AUTHORIZATION")).unwrap_or(null_mut());
    // SAFETY: null or a C string in the request's variables, which stay until the next request. PHP copies it; the call may bail
    // out, and this frame owns nothing.
    unsafe { php_handle_auth_data(auth) };
}

fn find(context: &mut Context) -> Option<Script> {
    let settings = settings();
    // SAFETY: PG(doc_root) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let doc_root = unsafe { (*core_globals()).doc_root };
    // SAFETY: null or a C string that the ini entry keeps until the setting changes, which no code here causes meanwhile.
    let doc_root = unsafe { c_bytes(doc_root) };
    let (fix_pathinfo, discard_path) = (settings.fix_pathinfo, settings.discard_path);
    let rules = Settings { fix_pathinfo, discard_path, doc_root, decode: cfg!(php84) };
    let script = resolve(&mut context.env, rules, &Disk);
    context.script = script.and_then(|script| script.path);
    script
}

fn fill(context: &Context, script: Option<Script>) {
    // SAFETY: SG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
    let globals = unsafe { &mut *sapi_globals() };
    globals.sapi_headers.http_response_code = if script.is_some_and(|script| script.missing) { 404 } else { 200 };
    let info = &mut globals.request_info;
    info.path_translated = null_mut();
    info.request_method = context.variable(b"REQUEST_METHOD");
    info.proto_num = PROTOCOL;
    info.query_string = null_mut();
    info.request_uri = null_mut();
    info.content_type = null();
    info.content_length = 0;
    if let Some(script) = script {
        let kind = context.variable(b"CONTENT_TYPE");
        info.request_uri = context.c_string(script.uri);
        info.query_string = context.variable(b"QUERY_STRING");
        // Without a type, PHP does not parse the body.
        info.content_type = match context.body {
            Body::Refused(_) => null(),
            _ if kind.is_null() => c"".as_ptr(),
            _ => kind,
        };
        info.content_length = context.body_length();
    }
}

/// The real file system.
struct Disk;

impl Files for Disk {
    fn exists(&self, path: &[u8]) -> bool {
        if realpath_cache::has(path) {
            return true;
        }
        let mut resolved = [MaybeUninit::<u8>::uninit(); PATH_MAX];
        with_path(path, |path| {
            // SAFETY: `with_path` gives a C string, and the buffer has MAXPATHLEN bytes. PHP allocates nothing that stays.
            !unsafe { tsrm_realpath(path, resolved.as_mut_ptr().cast()) }.is_null()
        })
        .unwrap_or(false)
    }

    fn is_file(&self, path: &[u8]) -> bool {
        with_path(path, |path| {
            let mut status = MaybeUninit::<libc::stat>::uninit();
            // SAFETY: `with_path` gives a C string, and the other argument is a place for the result.
            if unsafe { libc::stat(path, status.as_mut_ptr()) } != 0 {
                return false;
            }
            // SAFETY: stat has succeeded, so it has filled the structure.
            let status = unsafe { status.assume_init() };
            status.st_mode & libc::S_IFMT == libc::S_IFREG
        })
        .unwrap_or(false)
    }
}
