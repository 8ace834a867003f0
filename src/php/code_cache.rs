//! Asks opcache for its numbers between two requests: by its function `opcache_get_status`, but without a script. No script can
//! notice it: what the call allocates is in a heap of its own, opcache counts nothing, and no message is logged.

use std::ffi::{CStr, c_char};
use std::mem::{ManuallyDrop, MaybeUninit, offset_of, size_of};
use std::sync::OnceLock;

use super::ffi::{
    HashTable, executor_globals, module_registry, sapi_globals, zend_execute_data, zend_mm_set_heap, zend_mm_shutdown,
    zend_mm_startup, zend_module_entry, zval,
};
use super::{guard, ini, value};
use crate::engine::{CacheNumber, CodeCache};

type Handler = unsafe extern "C" fn(*mut zend_execute_data, *mut zval);

/// Where the function has each number.
const NUMBERS: [(&CStr, &CStr, CacheNumber); 16] = [
    (c"memory_usage", c"used_memory", CacheNumber::MemoryUsed),
    (c"memory_usage", c"free_memory", CacheNumber::MemoryFree),
    (c"memory_usage", c"wasted_memory", CacheNumber::MemoryWasted),
    (c"interned_strings_usage", c"used_memory", CacheNumber::StringsUsed),
    (c"interned_strings_usage", c"free_memory", CacheNumber::StringsFree),
    (c"interned_strings_usage", c"number_of_strings", CacheNumber::Strings),
    (STATISTICS, c"num_cached_keys", CacheNumber::Keys),
    (STATISTICS, c"max_cached_keys", CacheNumber::KeysLimit),
    (STATISTICS, c"num_cached_scripts", CacheNumber::Scripts),
    (STATISTICS, c"hits", CacheNumber::Hits),
    (STATISTICS, c"misses", CacheNumber::Misses),
    (STATISTICS, c"oom_restarts", CacheNumber::OomRestarts),
    (STATISTICS, c"hash_restarts", CacheNumber::HashRestarts),
    (STATISTICS, c"manual_restarts", CacheNumber::ManualRestarts),
    (JIT, c"buffer_size", CacheNumber::JitSize),
    (JIT, c"buffer_free", CacheNumber::JitFree),
];
const STATISTICS: &CStr = c"opcache_statistics";
const JIT: &CStr = c"jit";

/// The frame of a call with one argument, which lies behind it. Its values are never dropped: `zval` would call PHP for that, by a symbol
/// that is not looked up by name.
#[repr(C)]
struct Frame {
    call: ManuallyDrop<zend_execute_data>,
    argument: ManuallyDrop<zval>,
}

// `ZEND_CALL_FRAME_SLOT`: the arguments of a call begin at the next multiple of a value's size.
const _: () =
    assert!(offset_of!(Frame, argument) == size_of::<zend_execute_data>().next_multiple_of(size_of::<zval>()));

/// The numbers. `None`: opcache is not there or not in use. To be called between two requests.
pub(super) fn numbers() -> Option<CodeCache> {
    static HANDLER: OnceLock<Option<Handler>> = OnceLock::new();
    let handler = (*HANDLER.get_or_init(find))?;
    let mut numbers = None;
    // SAFETY: EG(current_execute_data) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let caller = unsafe { (*executor_globals()).current_execute_data };
    // SAFETY: SG(request_info.path_translated) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let path = unsafe { (*sapi_globals()).request_info.path_translated };
    // SAFETY: makes a heap beside the one in use. Null: there is no memory.
    let own = unsafe { zend_mm_startup() };
    if own.is_null() {
        return None;
    }
    enter(restriction().unwrap_or(path), caller);
    // SAFETY: a heap of PHP's allocator. No request runs, so nothing is freed meanwhile that the other one has given.
    let heap = unsafe { zend_mm_set_heap(own) };
    guard::attempt(|| numbers = ask(handler));
    // SAFETY: the heap that was in use before.
    unsafe { zend_mm_set_heap(heap) };
    // SAFETY: nothing refers to the heap of the call any more: the numbers are copies.
    unsafe { zend_mm_shutdown(own, true, true) };
    enter(path, caller);
    numbers
}

/// Sets the path of the script and the call that PHP finds.
fn enter(path: *mut c_char, call: *mut zend_execute_data) {
    // SAFETY: SG(request_info.path_translated) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    unsafe { (*sapi_globals()).request_info.path_translated = path };
    // SAFETY: EG(current_execute_data) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
    unsafe { (*executor_globals()).current_execute_data = call };
}

/// opcache's own function, also if `disable_functions` has taken it from scripts.
fn find() -> Option<Handler> {
    // SAFETY: the values of PHP's table of modules are pointers to them.
    let module: *mut zend_module_entry = unsafe { value::pointer_at(module_registry(), b"zend opcache") }?;
    // SAFETY: a module lives as long as the process. The pointer is copied.
    let mut function = unsafe { (*module).functions };
    while !function.is_null() {
        // SAFETY: an entry of the module's list, which ends in one without a name. It is copied.
        let entry = unsafe { function.read() };
        if entry.fname.is_null() {
            return None;
        }
        // SAFETY: the names in the list are C strings that live as long as the module.
        if unsafe { CStr::from_ptr(entry.fname) } == c"opcache_get_status" {
            return entry.handler;
        }
        // SAFETY: this entry is not the last one of the list.
        function = unsafe { function.add(1) };
    }
    None
}

/// `opcache.restrict_api`: the beginning of the paths of scripts that may ask. With that path, opcache answers, and logs no warning.
fn restriction() -> Option<*mut c_char> {
    // SAFETY: the entry is in PHP's table and lives as long as its module, which is never unloaded. Its value is copied.
    let value = unsafe { (*ini::find(c"opcache.restrict_api")?).value };
    // SAFETY: null or a live string, which the entry keeps until the setting changes.
    unsafe { value.as_ref() }.map(|text| text.val.as_ptr().cast_mut())
}

/// Calls the function with `false`: without the list of scripts. May bail out; this frame owns nothing.
fn ask(handler: Handler) -> Option<CodeCache> {
    // SAFETY: C structures of numbers and pointers, all of which may be zero.
    let mut frame: Frame = unsafe { std::mem::zeroed() };
    // A value without content. What it gets is freed with the heap.
    let mut result = MaybeUninit::<zval>::zeroed();
    frame.call.This.u2.num_args = 1;
    // SAFETY: a value of ours.
    unsafe { value::set_bool(&raw mut *frame.argument, false) };
    let call = (&raw mut frame).cast();
    // SAFETY: EG(current_execute_data) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread. `numbers` puts it back.
    unsafe { (*executor_globals()).current_execute_data = call };
    // SAFETY: the function with a frame that has its argument, and a place for its result. It uses no other member of the frame.
    unsafe { handler(call, result.as_mut_ptr()) };
    // SAFETY: the function has set it.
    let status = unsafe { table(result.as_ptr()) }?;
    read(status)
}

/// `None`: it has no memory of its own (`opcache.file_cache_only`).
fn read(status: *mut HashTable) -> Option<CodeCache> {
    let mut numbers = CodeCache::default();
    // SAFETY: the array that the function has made.
    unsafe { number_at(status, c"memory_usage", c"used_memory") }?;
    for (part, key, number) in NUMBERS {
        // SAFETY: the array that the function has made.
        numbers.set(number, unsafe { number_at(status, part, key) }.unwrap_or(0));
    }
    Some(numbers)
}

/// A number in a part of the status.
///
/// # Safety
/// `status` must be a live table.
unsafe fn number_at(status: *const HashTable, part: &CStr, key: &CStr) -> Option<u64> {
    // SAFETY: the caller vouches for the table.
    let part = unsafe { value::at(status, part.to_bytes()) }?;
    // SAFETY: a value of a live table.
    let part = unsafe { table(part) }?;
    // SAFETY: the table lives in the status.
    let number = unsafe { value::at(part, key.to_bytes()) }?;
    // SAFETY: a value of a live table.
    unsafe { value::integer(number) }.and_then(|number| u64::try_from(number).ok())
}

/// The table of a value that is an array.
///
/// # Safety
/// `value` must be a live value.
unsafe fn table(value: *const zval) -> Option<*mut HashTable> {
    // SAFETY: the caller vouches for a live value.
    let is_array = unsafe { value::is_array(value) };
    // SAFETY: the value holds an array.
    is_array.then(|| unsafe { value::pointer(value) })
}
