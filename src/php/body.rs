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

/// Copies the bytes from the `at`th on to the buffer. Returns their number.
pub(super) fn copy_from(bytes: &[u8], at: u64, buffer: &mut [u8]) -> usize {
    let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let count = rest.len().min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
        to.copy_from_slice(from);
    }
    count
}
