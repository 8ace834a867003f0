//! All that this library uses of its host, by PHP's names: functions and variables looked up by `dlsym`. Their types are in
//! `structures.rs`.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

pub(super) use super::structures::*;
use super::symbols::{host_table, required};

static HOST: OnceLock<Host> = OnceLock::new();

// SAFETY: the table holds addresses of code and data of the host program, which stay valid as long as the process lives. To have an
// address in another thread does no harm; what is there is used by PHP's thread alone (see `host`).
unsafe impl Send for Host {}
// SAFETY: the table is not changed once it is stored.
unsafe impl Sync for Host {}

/// The host's addresses. Ends the process if `host::check_host` has not succeeded: nothing of PHP may be called then.
///
/// Unsafe blocks of this folder that use PHP's variables rely on three facts. Their comments name the one that a block needs most.
///
/// 1. An address in this table is valid for the life of the process, and the variable has the type that PHP's headers declare.
///    `check_host` keeps that up: it refuses a PHP with another module API.
/// 2. One thread uses PHP: the one that started it. The tracer of a worker is another, and reads PHP's memory through the kernel
///    only (`trace.rs`).
/// 3. PHP's code changes the variables only while it runs. So a reference to one must not be kept across a call of PHP.
pub(super) fn host() -> &'static Host {
    HOST.get().unwrap_or_else(|| std::process::abort())
}

/// Whether the host's symbols have been looked up.
pub(super) fn is_resolved() -> bool {
    HOST.get().is_some()
}

/// Looks up every symbol of the host, once.
///
/// # Errors
/// The name of the first symbol that is missing.
pub(super) fn resolve() -> Result<(), &'static str> {
    let host = Host::resolve()?;
    HOST.get_or_init(|| host);
    Ok(())
}

host_table! {
    functions {
        fn zend_signal_startup();
        fn sapi_startup(module: *mut sapi_module_struct);
        fn sapi_shutdown();
        fn php_module_startup(module: *mut sapi_module_struct, additional: *mut zend_module_entry) -> c_int;
        fn php_module_shutdown();
        fn sapi_flush();
        fn php_module_shutdown_wrapper(module: *mut sapi_module_struct) -> c_int;
        fn php_request_startup() -> c_int;
        fn php_request_shutdown(unused: *mut c_void);
        fn php_execute_script(file: *mut zend_file_handle) -> bool;
        fn php_fopen_primary_script(file: *mut zend_file_handle) -> c_int;
        fn zend_destroy_file_handle(file: *mut zend_file_handle);
        fn php_handle_aborted_connection();
        fn php_handle_auth_data(auth: *const c_char) -> c_int;

        fn php_output_write(bytes: *const c_char, length: usize) -> usize;
        fn php_output_activate() -> c_int;
        fn php_output_deactivate();
        fn php_output_end_all();
        fn php_header();
        fn sapi_read_standard_form_data();
        fn rfc1867_post_handler(kind: *mut c_char, array: *mut c_void);
        fn php_open_temporary_fd_ex(
            directory: *const c_char, prefix: *const c_char, path: *mut *mut zend_string, flags: u32,
        ) -> c_int;
        fn zend_ini_long(name: *const c_char, length: usize, original: c_int) -> i64;
        fn php_clear_stat_cache(with_paths: bool, name: *const c_char, length: usize);
        fn zend_string_hash_func(string: *mut zend_string) -> u64;
        fn zend_hash_extend(table: *mut HashTable, size: u32, packed: bool);
        fn zend_hash_update(table: *mut HashTable, key: *mut zend_string, value: *mut zval) -> *mut zval;
        fn zend_hash_add(table: *mut HashTable, key: *mut zend_string, value: *mut zval) -> *mut zval;
        fn php_std_post_handler(kind: *mut c_char, array: *mut c_void);
        fn php_default_input_filter(
            kind: c_int, name: *const c_char, value: *mut *mut c_char, length: usize, new_length: *mut usize,
        ) -> c_uint;
        #[cfg(feature = "differential")]
        fn _php_stream_free(stream: *mut _php_stream, options: c_int) -> c_int;
        #[cfg(feature = "differential")]
        fn destroy_uploaded_files_hash();
        #[cfg(feature = "differential")]
        fn zval_ptr_dtor(value: *mut zval);
        fn _php_stream_read(stream: *mut _php_stream, buffer: *mut c_char, size: usize) -> isize;
        fn _php_stream_seek(stream: *mut _php_stream, offset: i64, from: c_int) -> c_int;
        #[cfg(not(php_debug))]
        fn _php_stream_alloc(
            operations: *const _php_stream_ops, own: *mut c_void, persistent_id: *const c_char, mode: *const c_char,
        ) -> *mut _php_stream;
        #[cfg(php_debug)]
        #[allow(clippy::too_many_arguments, reason = "PHP's")]
        fn _php_stream_alloc(
            operations: *const _php_stream_ops, own: *mut c_void, persistent_id: *const c_char, mode: *const c_char,
            depth: c_int, file: *const c_char, line: u32, other_file: *const c_char, other_line: u32,
        ) -> *mut _php_stream;
        #[cfg(not(php_debug))]
        fn _php_stream_fopen_from_fd(
            descriptor: c_int, mode: *const c_char, persistent_id: *const c_char, zero_position: bool,
        ) -> *mut _php_stream;
        #[cfg(php_debug)]
        #[allow(clippy::too_many_arguments, reason = "PHP's")]
        fn _php_stream_fopen_from_fd(
            descriptor: c_int, mode: *const c_char, persistent_id: *const c_char, zero_position: bool, depth: c_int,
            file: *const c_char, line: u32, other_file: *const c_char, other_line: u32,
        ) -> *mut _php_stream;
        fn sapi_header_op(operation: c_uint, header: *mut c_void) -> c_int;

        #[cfg(not(php_debug))]
        fn _emalloc(size: usize) -> *mut c_void;
        #[cfg(not(php_debug))]
        fn _efree(memory: *mut c_void);
        #[cfg(not(php_debug))]
        fn _estrndup(text: *const c_char, length: usize) -> *mut c_char;
        #[cfg(php_debug)]
        fn _emalloc(
            size: usize, file: *const c_char, line: u32, other_file: *const c_char, other_line: u32,
        ) -> *mut c_void;
        #[cfg(php_debug)]
        fn _efree(
            memory: *mut c_void, file: *const c_char, line: u32, other_file: *const c_char, other_line: u32,
        );
        #[cfg(php_debug)]
        fn _estrndup(
            text: *const c_char, length: usize, file: *const c_char, line: u32, other_file: *const c_char,
            other_line: u32,
        ) -> *mut c_char;
        fn zend_dirname(path: *mut c_char, length: usize) -> usize;
        fn tsrm_realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char;
        fn realpath_cache_lookup(path: *const c_char, length: usize, now: libc::time_t) -> *mut c_void;

        fn php_register_variable_safe(name: *const c_char, value: *const c_char, length: usize, array: *mut zval);
        fn php_register_variable_ex(name: *const c_char, value: *mut zval, array: *mut zval);
        fn sapi_add_request_header(
            name: *const c_char, name_length: c_uint, value: *mut c_char, length: c_uint, array: *mut c_void,
        );
        fn zend_array_dup(source: *mut HashTable) -> *mut HashTable;
        fn zend_array_destroy(array: *mut HashTable);
        fn _zend_new_array_0() -> *mut HashTable;
        fn add_assoc_long_ex(array: *mut zval, key: *const c_char, length: usize, number: i64);
        fn add_assoc_double_ex(array: *mut zval, key: *const c_char, length: usize, number: f64);
        fn add_assoc_stringl_ex(
            array: *mut zval, key: *const c_char, length: usize, text: *const c_char, size: usize,
        );
        fn add_assoc_zval_ex(array: *mut zval, key: *const c_char, length: usize, value: *mut zval);
        fn zend_hash_next_index_insert(table: *mut HashTable, value: *mut zval) -> *mut zval;
        fn zend_memory_peak_usage(real: bool) -> usize;
        fn zend_memory_usage(real: bool) -> usize;
        fn zend_mm_startup() -> *mut c_void;
        fn zend_mm_set_heap(heap: *mut c_void) -> *mut c_void;
        fn zend_mm_shutdown(heap: *mut c_void, whole: bool, silent: bool);
        fn zend_set_memory_limit(limit: usize) -> c_int;
        fn is_zend_mm() -> bool;
        fn zend_mm_get_heap() -> *mut c_void;
        fn virtual_cwd_activate() -> c_int;

        fn zend_hash_str_find(table: *const HashTable, key: *const c_char, length: usize) -> *mut zval;
        fn zend_hash_str_del(table: *mut HashTable, key: *const c_char, length: usize) -> c_int;
        fn _zend_hash_init(table: *mut HashTable, size: u32, destructor: *mut c_void, persistent: bool);
        fn zend_hash_clean(table: *mut HashTable);
        fn zend_hash_destroy(table: *mut HashTable);
        fn zend_hash_graceful_reverse_destroy(table: *mut HashTable);
        fn zend_llist_apply(list: *mut zend_llist, function: ApplyToElement);
        fn zend_destroy_modules();
        fn config_zval_dtor(value: *mut zval);

        fn zend_register_ini_entries(definitions: *const zend_ini_entry_def, module: c_int) -> c_int;
        fn zend_unregister_ini_entries(module: c_int);
        fn display_ini_entries(module: *mut zend_module_entry);
        fn zend_ini_boolean_displayer_cb(entry: *mut zend_ini_entry, kind: c_int);
        fn OnUpdateBool(
            entry: *mut zend_ini_entry, value: *mut zend_string, offset: *mut c_void, base: *mut c_void,
            unused: *mut c_void, stage: c_int,
        ) -> c_int;
        fn OnUpdateString(
            entry: *mut zend_ini_entry, value: *mut zend_string, offset: *mut c_void, base: *mut c_void,
            unused: *mut c_void, stage: c_int,
        ) -> c_int;
        fn zend_parse_ini_string(
            text: *mut c_char, unbuffered_errors: bool, mode: c_int, callback: IniParserCallback, arg: *mut c_void,
        ) -> c_int;

        fn zend_gcvt(
            number: f64, digits: c_int, point: c_char, exponent: c_char, text: *mut c_char,
        ) -> *mut c_char;
        fn cfg_get_entry(name: *const c_char, length: usize) -> *mut zval;
        fn zend_get_constant_str(name: *const c_char, length: usize) -> *mut zval;
        fn php_dl(file: *const c_char, kind: c_int, result: *mut zval, start_now: c_int);
        fn _zend_bailout(file: *const c_char, line: c_uint);
        fn zend_interned_strings_switch_storage(request: bool);
        fn zend_collect_module_handlers();
        fn zend_unregister_functions(functions: *const zend_function_entry, count: c_int, table: *mut HashTable);
        fn zend_startup_module_ex(module: *mut zend_module_entry) -> c_int;
        fn zend_disable_functions(list: *const c_char);
        #[cfg(not(php85))]
        fn zend_disable_class(name: *const c_char, length: usize) -> c_int;

        fn php_ini_has_per_host_config() -> bool;
        fn php_ini_has_per_dir_config() -> bool;
        fn php_ini_activate_per_host_config(host: *const c_char, length: usize);
        fn php_ini_activate_per_dir_config(path: *mut c_char, length: usize);
        fn php_ini_activate_config(table: *mut HashTable, modify_type: c_int, stage: c_int);
        fn php_parse_user_ini_file(directory: *const c_char, file: *const c_char, table: *mut HashTable) -> c_int;
        fn sapi_get_request_time() -> f64;

        fn zend_wrong_parameters_none_error();
        fn php_info_print_table_start();
        fn php_info_print_table_end();
        #[cfg(php84)]
        fn php_print_version(module: *mut sapi_module_struct);
        #[cfg(php84)]
        fn sapi_send_headers() -> c_int;
        fn php_print_info(flag: c_int);
        fn get_zend_version() -> *const c_char;
    }
    variadic {
        zend_error: fn(c_int, *const c_char);
        php_error_docref: fn(*const c_char, c_int, *const c_char);
        php_info_print_table_row: fn(c_int);
    }
    variables {
        static php_rfc1867_callback: Option<Rfc1867Callback>;
        static zend_empty_string: *mut zend_string;
        static sapi_module: sapi_module_struct;
        static sapi_globals: sapi_globals_struct;
        static core_globals: php_core_globals;
        static executor_globals: zend_executor_globals;
        static compiler_globals: zend_compiler_globals;
        static zend_signal_globals: SignalGlobals;
        static module_registry: HashTable;
        static php_register_internal_extensions_func: RegisterExtensions;
        static zend_post_startup_cb: Option<PostStartup>;
        static php_ini_opened_path: *const c_char;
        static php_ini_scanned_files: *const c_char;
        static zend_extensions: zend_llist;
        static zend_error_cb: ErrorCallback;
        static php_import_environment_variables: EnvironmentImport;
        static php_load_environment_variables: EnvironmentImport;
    }
}
