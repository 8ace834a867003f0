//! Searches in texts as C does them.

/// C's `isspace` in the locales that PHP uses.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// A text without the spaces before it.
pub(super) fn without_leading_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// The part of a text before its first NUL byte: what C sees of it.
pub(super) fn c_part(text: &[u8]) -> &[u8] {
    text.get(..memchr::memchr(0, text).unwrap_or(text.len())).unwrap_or(text)
}

/// Where `word`, which is not empty, first occurs, also in other letters.
pub(super) fn find_ignoring_case(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|part| part.eq_ignore_ascii_case(word))
}
