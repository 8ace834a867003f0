//! The logs themselves.

use super::messages;

messages! {
    /// The reader of the error log (a pipe, a terminal, syslog) did not take lines for some time. Up to 256 KiB of lines were
    /// kept; further ones were dropped.
    [Ours Warning] lines_lost(count) = "{count} lines lost: the log was not read",
        do "Make the reader of the log faster, or log to a file.";
}
