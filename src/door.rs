//! The two entry points: the function that the patched php-cgi calls, and libc's start-up function, which a library
//! in LD_PRELOAD can replace. Both end in [`crate::program::run`].

use std::ffi::{CStr, OsStr, OsString, c_char, c_int, c_void};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::exit::ExitCode;
use crate::host::{Door, Host, without_library};
use crate::log::messages::terminal;
use crate::php::{self, ModuleApi, Php};
use crate::sys::{single_threaded, startup, title};
use crate::{log, program};

/// Bit 1 of the patch's flags: PHP is built with --enable-debug. Bit 0, thread safety, is never set: the patch refuses such a PHP, as
/// [`php::check_host`] does for both doors.
const FLAG_DEBUG: c_int = 2;

type Main = unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;
type Hook = Option<unsafe extern "C" fn()>;
type StartMain = unsafe extern "C" fn(Main, c_int, *mut *mut c_char, Hook, Hook, Hook, *mut c_void) -> c_int;

/// The entry point for `--fpm` in the patched php-cgi, which passes its module API number and the flags of its build.
/// Returns the exit status.
///
/// # Safety
/// `argc` and `argv` are those of main.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cgi_fpm_main(argc: c_int, argv: *mut *mut c_char, number: u32, flags: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let args = unsafe { arguments(argc, argv) };
    // SAFETY: php-cgi calls this first in its main, before PHP starts: there is one thread, and nothing in Rust has opened a file.
    unsafe { startup::begin() };
    enter(args, Some(ModuleApi { number, debug: flags & FLAG_DEBUG != 0 }), Door::Patched)
}

/// glibc's start-up function. The linker finds the one of a preloaded library first. With `--fpm` it calls the real
/// one with our entry point instead of main, before PHP has run any code; otherwise nothing changes.
///
/// # Safety
/// Called by the program's start-up code only.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __libc_start_main(
    main: Main,
    argc: c_int,
    argv: *mut *mut c_char,
    init: Hook,
    fini: Hook,
    rtld_fini: Hook,
    stack_end: *mut c_void,
) -> c_int {
    // SAFETY: looks a name up; RTLD_NEXT finds the libc after this library.
    let real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"__libc_start_main".as_ptr()) };
    if real.is_null() {
        return ExitCode::Software.status();
    }
    // SAFETY: it is the function of that name, and that is its type.
    let real = unsafe { std::mem::transmute::<*mut c_void, StartMain>(real) };
    // SAFETY: argv is main's.
    let main = if unsafe { asks_for_fpm(argc, argv) } { preloaded_main } else { main };
    // SAFETY: passed through as it came.
    unsafe { real(main, argc, argv, init, fini, rtld_fini, stack_end) }
}

unsafe extern "C" fn preloaded_main(argc: c_int, argv: *mut *mut c_char, _environment: *mut *mut c_char) -> c_int {
    // SAFETY: these are main's arguments.
    let args = unsafe { arguments(argc, argv) };
    // SAFETY: libc calls this in place of main: there is one thread, and nothing in Rust has opened a file.
    unsafe { startup::begin() };
    enter(args, None, Door::Preload)
}

fn enter(args: Vec<OsString>, module_api: Option<ModuleApi>, door: Door) -> c_int {
    let refuse = |text: &str, code: ExitCode| {
        log::to_stderr(&format!("{text}\n"));
        code.status()
    };
    if is_cgi_request(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        return refuse(&terminal::refused_in_a_cgi_environment(), ExitCode::Usage);
    }
    let Some(library) = own_path() else { return refuse(&terminal::own_library_not_found(), ExitCode::Software) };
    leave_preload_list(&library);
    if let Err(e) = php::check_host(module_api) {
        return refuse(&e.to_string(), ExitCode::Software);
    }
    let host = describe_host(args, door, &library);
    program::run(host, &mut Php::default())
}

/// Web servers pass a CGI request's query string as arguments: never start anything for one (CVE-2012-1823).
/// php-src's run-tests.php sets REQUEST_METHOD for every program, so this variable counts only together with another
/// one.
fn is_cgi_request(has: impl Fn(&str) -> bool) -> bool {
    let company = ["SERVER_NAME", "SERVER_PROTOCOL", "REMOTE_ADDR", "SCRIPT_NAME"];
    has("GATEWAY_INTERFACE") || has("SERVER_SOFTWARE") || (has("REQUEST_METHOD") && company.into_iter().any(has))
}

fn leave_preload_list(library: &Path) {
    let Ok(list) = std::env::var("LD_PRELOAD") else { return };
    match without_library(&list, library) {
        Some(rest) => single_threaded::set_variable("LD_PRELOAD", rest.as_ref()),
        None => single_threaded::remove_variable("LD_PRELOAD"),
    }
}

/// Finds the directories. If the library lies in `../lib` beside the program, they are in that prefix, wherever it
/// is. Over a stock php-cgi they are those of Debian's php-fpm, otherwise those that PHP was configured with.
fn describe_host(args: Vec<OsString>, door: Door, library: &Path) -> Host {
    let program = Host::find_program(Path::new(args.first().map_or("php-cgi".as_ref(), OsString::as_os_str)));
    let program = if program.is_file() { program } else { std::fs::read_link("/proc/self/exe").unwrap_or(program) };
    let version = php::version();
    let mut host = Host {
        program,
        door,
        library: library.to_owned(),
        args,
        php_version: version.to_owned(),
        module_api: php::module_api(),
        php_prefix: php::PREFIX.into(),
        sysconf_dir: php::SYSCONFDIR.into(),
        local_state_dir: php::LOCALSTATEDIR.into(),
        default_ini: None,
    };
    let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
    match host.door {
        Door::Patched => {
            if let Some(prefix) = prefix_around(library) {
                host.sysconf_dir = prefix.join("etc");
                host.local_state_dir = prefix.join("var");
                host.php_prefix = prefix;
            }
        }
        Door::Preload => host.adopt_distribution(&Path::new("/etc/php").join(minor).join("fpm")),
    }
    host
}

/// The prefix, if this library lies in its `lib` and the program in its `bin`.
fn prefix_around(library: &Path) -> Option<PathBuf> {
    let prefix = library.parent().filter(|dir| dir.ends_with("lib"))?.parent()?;
    let program = std::fs::read_link("/proc/self/exe").ok()?;
    (program.parent()? == prefix.join("bin")).then(|| prefix.to_owned())
}

/// The file that this code was loaded from.
fn own_path() -> Option<PathBuf> {
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let here: *const c_void = cgi_fpm_main as *const c_void;
    // SAFETY: dladdr takes any address and fills the structure that it is given.
    let done = unsafe { libc::dladdr(here, found.as_mut_ptr()) };
    if done == 0 {
        return None;
    }
    // SAFETY: zeroed and then filled.
    let name = unsafe { found.assume_init() }.dli_fname;
    // SAFETY: the dynamic linker's own string, which lives as long as the library.
    let name = unsafe { CStr::from_ptr(name) };
    crate::sys::fd::real_path(Path::new(OsStr::from_bytes(name.to_bytes()))).ok()
}

/// Copies the arguments, and keeps their memory for the process title.
///
/// # Safety
/// They are main's.
unsafe fn arguments(argc: c_int, argv: *mut *mut c_char) -> Vec<OsString> {
    // SAFETY: the caller's contract.
    let copies = unsafe { strings(argc, argv) }.map(|s| OsString::from_vec(s.to_bytes().to_vec())).collect();
    // SAFETY: main's arguments, of which the copies were just made.
    unsafe { title::remember(argc, argv.cast_const().cast()) };
    copies
}

/// # Safety
/// `argv` has `argc` C strings that outlive the iterator.
unsafe fn strings<'a>(argc: c_int, argv: *mut *mut c_char) -> impl Iterator<Item = &'a CStr> {
    (0..usize::try_from(argc).unwrap_or(0)).map(move |i| {
        // SAFETY: i < argc.
        let slot = unsafe { argv.add(i) };
        // SAFETY: i < argc, so the slot is inside argv.
        let arg = unsafe { *slot };
        // SAFETY: a C string.
        unsafe { CStr::from_ptr(arg) }
    })
}

/// The same rule as in the patch: `--fpm` or `-x` among the leading options. Only in a program that is PHP.
///
/// # Safety
/// They are main's.
unsafe fn asks_for_fpm(argc: c_int, argv: *mut *mut c_char) -> bool {
    let mut skip = false;
    // SAFETY: the caller's contract.
    for arg in unsafe { strings(argc, argv) }.skip(1).map(CStr::to_bytes) {
        match arg {
            _ if skip => skip = false,
            b"--fpm" | b"-x" => return php::is_host(),
            b"--" => return false,
            [b'-', option] => skip = b"bcdfgpyzT".contains(option),
            [b'-', ..] => {}
            _ => return false,
        }
    }
    false
}
