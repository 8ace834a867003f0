//! The text for a system call that failed.
#![forbid(unsafe_code)]

use std::io;

/// The reason as php-fpm writes it: libc's text and the error number, such as `No such file or directory (2)`.
#[must_use]
pub fn reason(e: &io::Error) -> String {
    let text = e.to_string();
    match (e.raw_os_error(), text.rfind(" (os error ")) {
        (Some(code), Some(end)) => format!("{} ({code})", &text[..end]),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_libcs() {
        assert_eq!(reason(&io::Error::from_raw_os_error(libc::EBADF)), "Bad file descriptor (9)");
        assert_eq!(reason(&io::Error::other("not of the system")), "not of the system");
    }
}
