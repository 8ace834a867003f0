//! The request's body: from the connection, or the file that the web server has put it into (REQUEST_BODY_FILE).

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::context::Context;

/// Why a body file can't be used; for the log.
pub(super) type Reason = String;

impl Context {
    /// Opens the body file, if the request names one. It must be a regular file of at least the announced length.
    pub(super) fn open_body(&mut self) -> Result<(), Reason> {
        self.body = None;
        let Some(name) = self.env.value(b"REQUEST_BODY_FILE").filter(|name| !name.is_empty()) else { return Ok(()) };
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        let fail = |reason: &dyn std::fmt::Display| Err(format!("REQUEST_BODY_FILE: '{}' {reason}", path.display()));
        // O_NONBLOCK: a FIFO must not hold the worker.
        let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path) {
            Ok(file) => file,
            Err(error) => return fail(&format_args!("can't be opened: {error}")),
        };
        let size = match file.metadata() {
            Ok(about) if about.is_file() => about.size(),
            Ok(_) => return fail(&"is not a regular file"),
            Err(error) => return fail(&format_args!("can't be examined: {error}")),
        };
        let announced = self.announced();
        if announced.is_some_and(|length| u64::try_from(length).is_ok_and(|length| length > size)) {
            return fail(&format_args!("is shorter ({size} bytes) than CONTENT_LENGTH"));
        }
        self.body = Some((file, i64::try_from(size).unwrap_or(i64::MAX)));
        Ok(())
    }

    /// The body's length: the announced one; without that, a body file's size.
    pub(super) fn body_length(&self) -> i64 {
        self.announced().or(self.body.as_ref().map(|&(_, size)| size)).unwrap_or(0)
    }

    /// Reads until the buffer is full or the body ends.
    pub(super) fn read_body(&mut self, buffer: &mut [u8]) -> usize {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            let more = match (&mut self.body, read) {
                (Some((file, _)), _) => file.read(rest).unwrap_or(0),
                (None, _) => self.exchange().map_or(0, |exchange| exchange.read_body(rest)),
            };
            if more == 0 {
                break;
            }
            read += more;
        }
        read
    }

    /// CONTENT_LENGTH as C's `atol` reads it; an empty one is none.
    fn announced(&self) -> Option<i64> {
        let text = self.env.value(b"CONTENT_LENGTH")?.trim_ascii_start();
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] | digits => (false, digits),
        };
        let value = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0, |value: i64, byte| value.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
        (!text.is_empty()).then_some(if negative { -value } else { value })
    }
}
