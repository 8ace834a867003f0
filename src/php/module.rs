//! The PHP extension `cgi-fcgi`: the same ini entries, rows of phpinfo and functions as php-fpm's.

use std::ffi::{CStr, CString, c_int};
use std::mem::offset_of;

use super::ffi::{
    SUCCESS, ZEND_DEBUG, ZEND_MODULE_API_NO, display_ini_entries, host, php_info_print_table_end,
    php_info_print_table_row, php_info_print_table_start, php_module_startup, sapi_module_struct, zend_ini_entry_def,
    zend_module_entry, zend_register_ini_entries, zend_unregister_ini_entries,
};
use super::host::host_version;
use super::settings::Settings;
use super::{functions, settings};

const PHP_INI_ALL: u8 = 7;
const PHP_INI_SYSTEM: u8 = 4;

/// Ini entries: name, default (`None` for the one that is a text; the others are flags), who may change it, where it is stored.
/// They are in php-fpm's order, which `ReflectionExtension` shows.
static ENTRIES: [(&CStr, Option<&CStr>, u8, usize); 9] = [
    (c"cgi.rfc2616_headers", Some(c"0"), PHP_INI_ALL, offset_of!(Settings, rfc2616_headers)),
    (c"cgi.nph", Some(c"0"), PHP_INI_ALL, offset_of!(Settings, nph)),
    (c"cgi.force_redirect", Some(c"1"), PHP_INI_SYSTEM, offset_of!(Settings, force_redirect)),
    (c"cgi.redirect_status_env", None, PHP_INI_SYSTEM, offset_of!(Settings, redirect_status_env)),
    (c"cgi.fix_pathinfo", Some(c"1"), PHP_INI_SYSTEM, offset_of!(Settings, fix_pathinfo)),
    (c"cgi.discard_path", Some(c"0"), PHP_INI_SYSTEM, offset_of!(Settings, discard_path)),
    (c"fastcgi.logging", Some(c"1"), PHP_INI_SYSTEM, offset_of!(Settings, logging)),
    (c"fastcgi.error_header", None, PHP_INI_SYSTEM, offset_of!(Settings, error_header)),
    (c"fpm.config", None, PHP_INI_SYSTEM, offset_of!(Settings, fpm_config)),
];

/// The table for PHP, which ends in an empty entry.
fn ini_entries() -> [zend_ini_entry_def; 10] {
    // SAFETY: a C structure of numbers, pointers and functions, all of which may be zero: the end of the list.
    let mut entries: [zend_ini_entry_def; 10] = unsafe { std::mem::zeroed() };
    for (entry, &(name, value, who, offset)) in entries.iter_mut().zip(&ENTRIES) {
        entry.name = name.as_ptr();
        entry.name_length = u16::try_from(name.count_bytes()).unwrap_or(0);
        entry.on_modify = Some(if value.is_some() { host().OnUpdateBool } else { host().OnUpdateString });
        entry.mh_arg1 = std::ptr::without_provenance_mut(offset);
        entry.mh_arg2 = settings::place().cast();
        entry.value = value.map_or(std::ptr::null(), CStr::as_ptr);
        entry.value_length = value.map_or(0, |value| u32::try_from(value.count_bytes()).unwrap_or(0));
        entry.displayer = value.map(|_| host().zend_ini_boolean_displayer_cb as _);
        entry.modifiable = who;
    }
    entries
}

/// The callback `startup` of the SAPI.
pub(super) unsafe extern "C" fn start_module(sapi: *mut sapi_module_struct) -> c_int {
    let entry: &'static mut zend_module_entry = Box::leak(Box::new(entry()));
    // SAFETY: both live as long as the process.
    unsafe { php_module_startup(sapi, entry) }
}

fn entry() -> zend_module_entry {
    // SAFETY: a C structure of numbers, pointers and functions, all of which may be null.
    let empty: zend_module_entry = unsafe { std::mem::zeroed() };
    zend_module_entry {
        size: u16::try_from(size_of::<zend_module_entry>()).unwrap_or(0),
        zend_api: ZEND_MODULE_API_NO,
        zend_debug: u8::from(ZEND_DEBUG != 0),
        name: c"cgi-fcgi".as_ptr(),
        functions: functions::table(),
        module_startup_func: Some(startup),
        module_shutdown_func: Some(shutdown),
        request_startup_func: Some(super::start_steps::before_request),
        request_shutdown_func: Some(super::leftovers::end_request),
        info_func: Some(info),
        // It lives as long as the process, as PHP expects of a module's functions.
        version: CString::new(host_version()).unwrap_or_default().into_raw(),
        build_id: c"".as_ptr(),
        ..empty
    }
}

unsafe extern "C" fn startup(_kind: c_int, module: c_int) -> c_int {
    super::leftovers::take_over();
    super::start_steps::chain();
    // SAFETY: Zend copies what the table says; the texts in it are static.
    unsafe { zend_register_ini_entries(ini_entries().as_ptr(), module) }
}

unsafe extern "C" fn shutdown(_kind: c_int, module: c_int) -> c_int {
    super::user_ini::forget();
    // SAFETY: the number that Zend passed.
    unsafe { zend_unregister_ini_entries(module) };
    SUCCESS
}

unsafe extern "C" fn info(module: *mut zend_module_entry) {
    // SAFETY: PHP prints the information about modules, so output is active.
    unsafe { php_info_print_table_start() };
    // SAFETY: the row has two columns, given as two C strings.
    unsafe { php_info_print_table_row()(2, c"php-fpm".as_ptr(), c"active".as_ptr()) };
    // SAFETY: PHP prints the information about modules, and a table was begun above.
    unsafe { php_info_print_table_end() };
    // SAFETY: PHP passes the module that it asks about, which is ours.
    unsafe { display_ini_entries(module) };
}
