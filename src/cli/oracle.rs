//! Properties of every command line. Compiled for the property tests and the fuzz targets only.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::{Command, parse};

/// Parses arguments that newlines separate.
///
/// # Panics
/// When `--fpm` in front of them changes what they ask for: php-cgi passes it on where it stands.
pub fn parse_lines(text: &[u8]) {
    let plain: Vec<OsString> =
        text.split(|byte| *byte == b'\n').map(|line| OsString::from_vec(line.to_vec())).collect();
    let marked: Vec<OsString> = std::iter::once("--fpm".into()).chain(plain.iter().cloned()).collect();
    let wanted = parse(&plain).ok().map(|command| match command {
        Command::Control { verb, at, part, options } => Command::Control { verb, at: at + 1, part, options },
        other => other,
    });
    assert_eq!(parse(&marked).ok(), wanted);
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_is_written(text in "(-[a-zA-Z-]{0,3}|[a-z]{0,7}|--[a-z-]{0,9}|\\PC{0,5})(\n(-[a-zA-Z-]{0,3}|[a-z]{0,7})){0,5}") {
            parse_lines(text.as_bytes());
        }
    }
}
