//! The request's body: from the connection, or the file that the web server has put it into (REQUEST_BODY_FILE).

use crate::script::body_file::{BodyFile, Unusable};

/// Where the body is.
#[derive(Debug, Default)]
pub(super) enum Body {
    /// On the connection.
    #[default]
    Stream,
    /// In a file.
    File(BodyFile),
    /// In a file that can't be used: the script doesn't run.
    Refused(Unusable),
}
