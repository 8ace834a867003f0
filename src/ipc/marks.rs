//! Separators that a worker writes into its output for the supervisor.
#![forbid(unsafe_code)]

/// What a worker writes to stderr after each request, as php-fpm's workers do (php-src `fpm_stdio_flush_child`).
pub(crate) const MARK: &[u8] = b"\0fscf\0";
