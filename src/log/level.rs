//! How severe a message is, and what a line of the log looks like.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// How severe a message is. `log_level` names the least severe level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Level {
    Debug,
    Notice,
    Warning,
    Error,
    Alert,
}

/// `log_format`: what a line of the error log looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Today's php-fpm: `[23-Nov-2026 10:00:00] NOTICE: text`.
    #[default]
    Default,
    /// The original patch: `Nov 23 10:00:00.123456 [NOTICE] fpm(), line 1: text`, and its wording where it differs.
    Classic,
    /// One JSON object on each line.
    Json,
}
