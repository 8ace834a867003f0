//! PHP's structures, types of its functions, and numbers, by PHP's names.

use std::ffi::{c_char, c_int, c_uint, c_void};

#[cfg(feature = "differential")]
pub(super) use ext_php_rs::ffi::sapi_request_info;
pub(super) use ext_php_rs::ffi::{
    _php_stream, _php_stream_ops, Bucket, HashTable, ZEND_DEBUG, ZEND_MODULE_API_NO, php_core_globals,
    sapi_globals_struct, sapi_header_line, sapi_header_struct, sapi_headers_struct, sapi_module_struct,
    sapi_post_entry, zend_compiler_globals, zend_execute_data, zend_executor_globals, zend_file_handle,
    zend_function_entry, zend_ini_entry, zend_ini_entry_def, zend_internal_arg_info, zend_llist, zend_llist_element,
    zend_module_entry, zend_refcounted_h, zend_string, zval,
};

pub(super) const SUCCESS: c_int = 0;
pub(super) const FAILURE: c_int = -1;

/// `zend_ini_parser_cb_t`
pub(super) type IniParserCallback =
    unsafe extern "C" fn(key: *mut zval, value: *mut zval, index: *mut zval, kind: c_int, arg: *mut c_void);
/// `php_import_environment_variables` and `php_load_environment_variables`
pub(super) type EnvironmentImport = unsafe extern "C" fn(array: *mut zval);

/// `zend_error_cb`
pub(super) type ErrorCallback =
    unsafe extern "C" fn(kind: c_int, file: *mut zend_string, line: u32, message: *mut zend_string);

/// `php_register_internal_extensions_func`: starts the extensions that are compiled in
pub(super) type RegisterExtensions = unsafe extern "C" fn() -> c_int;

/// `zend_post_startup_cb`: called once, after all extensions have started
pub(super) type PostStartup = unsafe extern "C" fn() -> c_int;

/// `llist_apply_func_t`
pub(super) type ApplyToElement = unsafe extern "C" fn(element: *mut c_void);

/// The reader of a body, which runs before the body is parsed
pub(super) type PostReader = unsafe extern "C" fn();
/// The reader of a form, which fills `$_POST`
pub(super) type PostHandler = unsafe extern "C" fn(kind: *mut c_char, array: *mut c_void);

/// `php_rfc1867_callback`: is told about the progress of a multipart form
pub(super) type Rfc1867Callback =
    unsafe extern "C" fn(event: c_uint, data: *mut c_void, extra: *mut *mut c_void) -> c_int;

/// The first members of `zend_signal_globals_t`.
#[repr(C)]
pub(super) struct SignalGlobals {
    depth: c_int,
    blocked: c_int,
    running: c_int,
    active: c_int,
    check: bool,
    /// PHP installs its handlers again at each request.
    pub(super) reset: bool,
}

/// The first members of `zend_extension`.
#[repr(C)]
pub(super) struct ZendExtension {
    name: *const c_char,
    version: *const c_char,
    author: *const c_char,
    url: *const c_char,
    copyright: *const c_char,
    startup: Option<unsafe extern "C" fn(extension: *mut ZendExtension) -> c_int>,
    pub(super) shutdown: Option<unsafe extern "C" fn(extension: *mut ZendExtension)>,
}
