//! What the system says about a call that failed.
#![forbid(unsafe_code)]

use std::io;

/// The reason as php-fpm words it: libc's text and the number, `No such file or directory (2)`.
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
    fn the_words_are_libcs() {
        assert_eq!(reason(&io::Error::from_raw_os_error(libc::EBADF)), "Bad file descriptor (9)");
        assert_eq!(reason(&io::Error::other("not of the system")), "not of the system");
    }
}
