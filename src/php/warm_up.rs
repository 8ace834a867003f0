//! A request without a script, run by a new worker before its first request: memory pages, symbols and tables that each request uses
//! are then in place, and so are pages that a script of some size uses.
//!
//! What is different afterwards is gone when the next request begins, or is put back (`Flags`, `before_first_request`): scripts find PHP
//! as if no request had run. Extensions take part (`RINIT`, `RSHUTDOWN`). One that counts or reports requests would see it, so it is only
//! run if all loaded extensions are known not to do that: those of PHP itself, with settings that let no request begin with an action of
//! theirs.

use std::ffi::CStr;
use std::ptr::null_mut;
use std::time::Duration;

use super::ffi::{
    SUCCESS, compiler_globals, core_globals, executor_globals, module_registry, php_request_shutdown,
    php_request_startup, virtual_cwd_activate, zend_empty_string, zend_extensions,
};
use super::{guard, ini, memory, report, value};
use crate::sys::prefault;

/// Extensions whose work at the start and the end of a request has no effect that can be seen: those of the PHP distribution. In alphabetical order.
const KNOWN: &[&[u8]] = &[
    b"bcmath",
    b"bz2",
    b"calendar",
    b"cgi-fcgi",
    b"core",
    b"ctype",
    b"curl",
    b"date",
    b"dba",
    b"dom",
    b"enchant",
    b"exif",
    b"ffi",
    b"fileinfo",
    b"filter",
    b"ftp",
    b"gd",
    b"gettext",
    b"gmp",
    b"hash",
    b"iconv",
    b"imap",
    b"intl",
    b"json",
    b"ldap",
    b"lexbor",
    b"libxml",
    b"mbstring",
    b"mysqli",
    b"mysqlnd",
    b"odbc",
    b"openssl",
    b"pcntl",
    b"pcre",
    b"pdo",
    b"pdo_dblib",
    b"pdo_firebird",
    b"pdo_mysql",
    b"pdo_odbc",
    b"pdo_pgsql",
    b"pdo_sqlite",
    b"pgsql",
    b"phar",
    b"posix",
    b"pspell",
    b"random",
    b"readline",
    b"reflection",
    b"session",
    b"shmop",
    b"simplexml",
    b"snmp",
    b"soap",
    b"sockets",
    b"sodium",
    b"spl",
    b"sqlite3",
    b"standard",
    b"sysvmsg",
    b"sysvsem",
    b"sysvshm",
    b"tidy",
    b"tokenizer",
    b"uri",
    b"xml",
    b"xmlreader",
    b"xmlwriter",
    b"xsl",
    b"zend opcache",
    b"zip",
    b"zlib",
];

/// Settings with which a request begins with an action: a session, or a function that gets all output.
const ACTIONS: [&CStr; 4] =
    [c"session.auto_start", c"output_handler", c"zlib.output_compression", c"tidy.clean_output"];

/// Bytes of the stack of PHP's functions, which has 256 KiB.
const VM_STACK: usize = 8 * 1024;
/// Bytes for classes: all that PHP takes at first (`init_compiler`).
const ARENA: usize = 60 * 1024;
/// Bytes for all else.
const BLOCKS: usize = 128 * 1024;
/// Bytes of libc's heap. Tables that grow with opcache's scripts are there (`zend_map_ptr_extend`).
const HEAP: usize = 96 * 1024;

/// Bytes of opcache's memory. They need at most two pages of page tables.
const SCRIPTS: usize = 2 * 1024 * 1024;

/// How long a worker waits that cannot warm up, before it exits: no client has asked for the work of forking it.
pub(super) const PAUSE: Duration = Duration::from_millis(400);

/// PHP cannot serve in this process any more.
#[derive(Debug)]
pub(super) struct Broken;

/// Runs the request, if it has no effect that scripts or people could see; returns whether it did. To be called between two requests.
///
/// # Errors
/// PHP has failed while it started the request.
pub(super) fn run() -> Result<bool, Broken> {
    if !has_known_extensions() || ACTIONS.iter().any(|name| is_on(name)) {
        return Ok(false);
    }
    let flags = Flags::now();
    // SAFETY: PHP has started in the zygote, and no request runs.
    if unsafe { php_request_startup() } != SUCCESS {
        return Err(Broken);
    }
    report::without_headers();
    guard::attempt(prefault_memory);
    // SAFETY: the request started above, and it is ended once.
    unsafe { php_request_shutdown(null_mut()) };
    flags.restore();
    Ok(true)
}

/// Memory that a script of some size uses: PHP's allocator takes it in the same order in each request. `idle::release_memory` and
/// `idle_memory::release` return it.
fn prefault_memory() {
    // SAFETY: EG(vm_stack_top) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let stack = unsafe { (*executor_globals()).vm_stack_top };
    prefault::for_writing(stack.addr(), VM_STACK);
    // SAFETY: CG(arena) is PHP's, at a valid address (`ffi::host`). The value is copied.
    let arena = unsafe { (*compiler_globals()).arena };
    prefault::for_writing(arena.addr(), ARENA);
    // SAFETY: a request runs. The call may bail out; this frame owns nothing.
    let memory = unsafe { memory::allocate(BLOCKS) };
    prefault::for_writing(memory.addr(), BLOCKS);
    // SAFETY: allocated above.
    unsafe { memory::free(memory) };
    prefault::heap(HEAP);
    prefault::stack();
    prefault_scripts();
}

/// What opcache has cached first: its table and scripts, which are in its memory behind the interned strings.
fn prefault_scripts() {
    let megabytes = ini::text(c"opcache.interned_strings_buffer").and_then(|text| text.parse::<u16>().ok());
    let megabytes = usize::from(megabytes.unwrap_or(0));
    // `zend_accel_init_shm`: the strings begin behind a table of this size, the empty one first.
    let table = (megabytes * 32 * 1024 + 1).next_power_of_two() * size_of::<u32>();
    // SAFETY: `zend_empty_string` is PHP's, at a valid address (`ffi::host`). The value is copied.
    let first = unsafe { *zend_empty_string() };
    // If opcache has not moved it there, the range has other memory, or none.
    if let Some(start) = first.addr().checked_sub(table) {
        prefault::shared_for_reading(start + (megabytes << 20), SCRIPTS);
    }
}

/// Allocates what PHP's start allocates for the first request only: a copy of the directory's name. It counts in `memory_get_usage()`.
/// To be called directly before the first request: until then, PHP's allocator is to be empty (`idle::release_memory`).
pub(super) fn before_first_request() {
    // SAFETY: PHP has started and no request runs, as when PHP's start calls it.
    unsafe { virtual_cwd_activate() };
}

/// What a request leaves set until the next one begins. PHP reads it when the web server's settings for the next request (`PHP_VALUE`)
/// are wrong: its message names the time, and an extension may act as if a request ran.
struct Flags {
    begins: bool,
    activated: bool,
    executor: u8,
}

impl Flags {
    fn now() -> Self {
        // SAFETY: PG is PHP's, at a valid address (`ffi::host`). PHP is not called while it is borrowed.
        let core = unsafe { &*core_globals() };
        // SAFETY: EG(flags) is PHP's, at a valid address (`ffi::host`). The value is copied.
        let executor = unsafe { (*executor_globals()).flags };
        Self { begins: core.during_request_startup, activated: core.modules_activated, executor }
    }

    fn restore(&self) {
        // SAFETY: PG is PHP's, at a valid address (`ffi::host`), and this is PHP's thread. PHP is not called while it is borrowed.
        let core = unsafe { &mut *core_globals() };
        core.during_request_startup = self.begins;
        core.modules_activated = self.activated;
        // SAFETY: EG(flags) is PHP's, at a valid address (`ffi::host`), and this is PHP's thread.
        unsafe { (*executor_globals()).flags = self.executor };
    }
}

fn has_known_extensions() -> bool {
    // SAFETY: the address of PHP's list (`ffi::host`). The value is copied.
    let of_engine = unsafe { (*zend_extensions()).count };
    // SAFETY: the address of PHP's table (`ffi::host`). PHP is not called while it is borrowed.
    let table = unsafe { &*module_registry() };
    // SAFETY: the keys of PHP's table of modules are their names.
    let mut buckets = unsafe { value::buckets(table) };
    let mut has_opcache = false;
    let all = buckets.all(|bucket| {
        // SAFETY: one of `buckets`.
        let name = unsafe { value::key(bucket) }.map(CStr::to_bytes).unwrap_or_default();
        has_opcache |= name == b"zend opcache";
        KNOWN.binary_search(&name).is_ok()
    });
    // opcache is an extension of the engine, too; no other one is known.
    all && of_engine == usize::from(has_opcache)
}

fn is_on(name: &CStr) -> bool {
    ini::text(name).is_some_and(|text| !matches!(text.as_str(), "" | "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        assert!(KNOWN.is_sorted());
    }
}
