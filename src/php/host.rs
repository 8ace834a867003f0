//! Checks whether the host program is the PHP that this library was built for.

use std::sync::OnceLock;

use super::ffi::{self, ZEND_DEBUG, ZEND_MODULE_API_NO};
use super::symbols::lookup;
use crate::log::messages::terminal;

static VERSION: OnceLock<String> = OnceLock::new();

/// `major.minor.release` of the PHP whose headers this library was built with.
pub(super) const BUILT_FOR: &str = env!("CGI_FPM_PHP_VERSION");

/// `PHP_PREFIX` of that PHP.
pub(crate) const PREFIX: &str = env!("CGI_FPM_PHP_PREFIX");
/// `PHP_SYSCONFDIR` of that PHP.
pub(crate) const SYSCONFDIR: &str = env!("CGI_FPM_PHP_SYSCONFDIR");
/// `PHP_LOCALSTATEDIR` of that PHP.
pub(crate) const LOCALSTATEDIR: &str = env!("CGI_FPM_PHP_LOCALSTATEDIR");

/// A function that PHP exports in debug mode only.
const DEBUG_ONLY: &str = "zend_internal_call_should_throw\0";

/// The properties that an extension and its PHP must share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModuleApi {
    /// ZEND_MODULE_API_NO.
    pub number: u32,
    /// ZEND_DEBUG.
    pub debug: bool,
}

/// Why the program around us cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub(crate) enum HostError {
    /// It exports none of PHP's symbols.
    NotPhp,
    /// It is built with thread safety.
    ThreadSafe,
    /// It is built in debug mode and the library is not, or the reverse.
    OtherMode {
        /// Whether the host is in debug mode.
        debug: bool,
    },
    /// Its ZEND_MODULE_API_NO is another.
    OtherApi(u32),
    /// Its version is another.
    OtherVersion(&'static str),
    /// It does not export this symbol.
    Lacks(&'static str),
}

impl HostError {
    /// The line for the user.
    fn text(&self) -> String {
        match *self {
            Self::NotPhp => terminal::host_is_not_php(),
            Self::ThreadSafe => terminal::host_is_thread_safe(),
            Self::OtherMode { debug: true } => terminal::host_in_another_mode("without", "with"),
            Self::OtherMode { debug: false } => terminal::host_in_another_mode("with", "without"),
            Self::OtherApi(number) => terminal::host_has_another_api(ZEND_MODULE_API_NO, BUILT_FOR, number),
            Self::OtherVersion(version) => terminal::host_has_another_version(minor(BUILT_FOR), version),
            Self::Lacks(symbol) => terminal::host_lacks_a_symbol(symbol),
        }
    }
}

/// The PHP version that the library is built for.
#[must_use]
pub(crate) fn version() -> &'static str {
    BUILT_FOR
}

/// The number of the module API that the library is built for.
#[must_use]
pub(crate) fn module_api() -> u32 {
    ZEND_MODULE_API_NO
}

/// Whether the host program is a PHP at all.
#[must_use]
pub(crate) fn is_host() -> bool {
    lookup("get_zend_version\0").is_some()
}

/// Checks that this library works with the host program, and looks up its symbols.
///
/// `said` is what the patched php-cgi passes about itself; a stock php-cgi passes nothing.
///
/// # Errors
/// The reason why this library does not work with it.
pub(crate) fn check_host(said: Option<ModuleApi>) -> Result<(), HostError> {
    let module_api = said.map_or(0, |api| api.number);
    if ffi::is_resolved() {
        return Ok(());
    }
    if lookup("get_zend_version\0").is_none() {
        return Err(HostError::NotPhp);
    }
    if lookup("core_globals\0").is_none() && lookup("core_globals_id\0").is_some() {
        return Err(HostError::ThreadSafe);
    }
    let debug = said.map_or_else(|| lookup(DEBUG_ONLY).is_some(), |api| api.debug);
    if debug != (ZEND_DEBUG != 0) {
        return Err(HostError::OtherMode { debug });
    }
    if module_api != 0 && module_api != ZEND_MODULE_API_NO {
        return Err(HostError::OtherApi(module_api));
    }
    // The API number is enough. Without it, the version is searched for in the program file.
    if module_api == 0
        && let Some(version) = read_version()
        && minor(VERSION.get_or_init(|| version)) != minor(BUILT_FOR)
    {
        return Err(HostError::OtherVersion(host_version()));
    }
    ffi::resolve().map_err(HostError::Lacks)
}

/// The host's version as far as it is known. Its release number may differ from that of `BUILT_FOR`.
pub(super) fn host_version() -> &'static str {
    VERSION.get().map_or(BUILT_FOR, String::as_str)
}

/// `8.2` of `8.2.32`.
fn minor(version: &str) -> &str {
    version.match_indices('.').nth(1).map_or(version, |(at, _)| version.get(..at).unwrap_or(version))
}

/// The host's version. PHP has a function for it only once it runs, so it is read from the text `X-Powered-By: PHP/…` in the
/// program file.
fn read_version() -> Option<String> {
    const MARK: &[u8] = b"X-Powered-By: PHP/";
    let program = std::fs::read("/proc/self/exe").ok()?;
    let mut rest = program.as_slice();
    while let Some(at) = rest.iter().position(|&byte| byte == b'X') {
        rest = rest.get(at..)?;
        if let Some(version) = rest.strip_prefix(MARK) {
            let end = version.iter().position(|byte| !byte.is_ascii_graphic())?;
            return String::from_utf8(version.get(..end)?.to_vec()).ok();
        }
        rest = rest.get(1..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_release_number_does_not_matter() {
        assert_eq!((super::minor("8.2.32"), super::minor("8.4.0-dev"), super::minor("8.5")), ("8.2", "8.4", "8.5"));
    }
}
