//! The body of a request: on the connection, or in a file that the web server has written (`REQUEST_BODY_FILE`).

use crate::script::body_file::{BodyFile, Unusable};

/// Where the body is.
#[derive(Debug, Default)]
pub(super) enum Body {
    /// On the connection.
    #[default]
    Stream,
    /// In a file.
    File(BodyFile),
    /// In a file that cannot be used. The script does not run.
    Refused(Unusable),
    /// In memory: one that was made up to compare readers of forms.
    #[cfg(feature = "differential")]
    Memory(Vec<u8>),
}
