//! Lexical patterns. Each function returns the number of bytes that it matches at the start of the rest; 0: no match.

/// Counts the leading bytes that `accept` takes.
fn run(rest: &[u8], accept: impl Fn(u8) -> bool) -> usize {
    rest.iter().take_while(|byte| accept(**byte)).count()
}

/// Length of `first` followed by as much as `then` finds; 0 when either part is missing.
fn followed(rest: &[u8], first: usize, then: fn(&[u8]) -> usize) -> usize {
    match rest.get(first..).map_or(0, then) {
        0 => 0,
        tail => first + tail,
    }
}

/// Spaces and tabs, one at least.
pub(super) fn blanks(rest: &[u8]) -> usize {
    run(rest, |byte| byte == b' ' || byte == b'\t')
}

/// `\n`, `\r` or `\r\n`.
pub(super) fn newline(rest: &[u8]) -> usize {
    match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

/// Any one byte.
pub(super) fn any(rest: &[u8]) -> usize {
    rest.len().min(1)
}

/// Blanks up to and with the end of the line.
pub(super) fn line_end(rest: &[u8]) -> usize {
    followed(rest, blanks(rest), newline)
}

/// A comment with the blanks before it and the end of the line after it.
pub(super) fn comment(rest: &[u8]) -> usize {
    let lead = blanks(rest);
    if rest.get(lead) != Some(&b';') {
        return 0;
    }
    let text = run(&rest[lead..], |byte| byte != b'\r' && byte != b'\n');
    followed(rest, lead + text, newline)
}

fn label_byte(byte: u8) -> bool {
    !b"=\n\r\t;&|^$~(){}!\"[]\0".contains(&byte)
}

/// A directive's name, blanks included.
pub(super) fn label(rest: &[u8]) -> usize {
    run(rest, label_byte)
}

/// The name of a variable, up to `}` or `:-`.
pub(super) fn variable_name(rest: &[u8]) -> usize {
    let name = label(rest);
    rest[..name].windows(2).position(|pair| pair == b":-").unwrap_or(name)
}

/// `:-`, before the value that is used if the variable is not set.
pub(super) fn fallback_start(rest: &[u8]) -> usize {
    if rest.starts_with(b":-") { 2 } else { 0 }
}

/// A name, `[` and the blanks after it.
pub(super) fn offset_start(rest: &[u8]) -> usize {
    let name = label(rest);
    if name == 0 || rest.get(name) != Some(&b'[') {
        return 0;
    }
    name + 1 + blanks(&rest[name + 1..])
}

/// `[`.
pub(super) fn section_start(rest: &[u8]) -> usize {
    usize::from(rest.first() == Some(&b'['))
}

/// `]` of a section with the rest of a blank line.
pub(super) fn section_end(rest: &[u8]) -> usize {
    if rest.first() != Some(&b']') {
        return 0;
    }
    let blanks = 1 + blanks(&rest[1..]);
    blanks + newline(&rest[blanks..])
}

/// `]` of a key with the blanks before it.
pub(super) fn offset_end(rest: &[u8]) -> usize {
    surrounded(rest, b']', false)
}

/// `=` with the blanks around it.
pub(super) fn assign(rest: &[u8]) -> usize {
    surrounded(rest, b'=', true)
}

/// `"` with the blanks before it: a quoted string begins.
pub(super) fn quote_open(rest: &[u8]) -> usize {
    surrounded(rest, b'"', false)
}

/// `"` with the blanks after it: a quoted string ends.
pub(super) fn quote_close(rest: &[u8]) -> usize {
    if rest.first() == Some(&b'"') { surrounded(rest, b'"', true) } else { 0 }
}

fn surrounded(rest: &[u8], mark: u8, after: bool) -> usize {
    let lead = blanks(rest);
    if rest.get(lead) != Some(&mark) {
        return 0;
    }
    lead + 1 + if after { blanks(&rest[lead + 1..]) } else { 0 }
}

/// One of the words in any case, with the blanks after it.
fn word(rest: &[u8], words: &[&str]) -> usize {
    let found = words.iter().map(|word| word.len());
    let matching = found
        .zip(words)
        .filter(|(len, word)| rest.get(..*len).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes())));
    matching.map(|(len, _)| len + blanks(&rest[len..])).max().unwrap_or(0)
}

/// A word for yes.
pub(super) fn truth(rest: &[u8]) -> usize {
    word(rest, &["true", "on", "yes"])
}

/// A word for no.
pub(super) fn falsehood(rest: &[u8]) -> usize {
    word(rest, &["false", "off", "no", "none"])
}

/// `null`.
pub(super) fn null(rest: &[u8]) -> usize {
    word(rest, &["null"])
}

/// `'raw text'`, not empty.
pub(super) fn raw_string(rest: &[u8]) -> usize {
    if rest.first() != Some(&b'\'') {
        return 0;
    }
    let text = run(&rest[1..], |byte| byte != b'\'');
    if text > 0 && rest.get(1 + text) == Some(&b'\'') { text + 2 } else { 0 }
}

/// `${`.
pub(super) fn variable_start(rest: &[u8]) -> usize {
    if rest.starts_with(b"${") { 2 } else { 0 }
}

/// `}`.
pub(super) fn variable_end(rest: &[u8]) -> usize {
    usize::from(rest.first() == Some(&b'}'))
}

/// A name that may be a constant's.
pub(super) fn constant(rest: &[u8]) -> usize {
    match rest.first() {
        Some(byte) if byte.is_ascii_alphabetic() || *byte == b'_' => {
            run(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_')
        }
        _ => 0,
    }
}

/// `12`, `-12`, `1.5`, `.5`, `1.`.
pub(super) fn number(rest: &[u8]) -> usize {
    let digits = |rest: &[u8]| run(rest, |byte| byte.is_ascii_digit());
    if rest.first() == Some(&b'-') {
        return followed(rest, 1, |rest| run(rest, |byte| byte.is_ascii_digit()));
    }
    let whole = digits(rest);
    if rest.get(whole) != Some(&b'.') {
        return whole;
    }
    match digits(&rest[whole + 1..]) {
        0 if whole == 0 => 0,
        fraction => whole + 1 + fraction,
    }
}

/// An operator with the blanks after it.
pub(super) fn operator(rest: &[u8]) -> usize {
    match rest.first() {
        Some(byte) if b"&|^~()!".contains(byte) => 1 + blanks(&rest[1..]),
        _ => 0,
    }
}

/// `=` inside a value, where it is an error.
pub(super) fn stray_assign(rest: &[u8]) -> usize {
    usize::from(rest.first() == Some(&b'='))
}

/// A character that is not allowed before `=`.
pub(super) fn stray_token(rest: &[u8]) -> usize {
    usize::from(rest.first().is_some_and(|byte| b":,.[]\"'()&|^+-/*=%$!~<>?@{}".contains(byte)))
}

/// The plain text of a value.
pub(super) fn value_text(rest: &[u8]) -> usize {
    literal_text(rest, |byte| !b"$= \t\n\r;&|^~()!\"'\0".contains(&byte), false)
}

/// The plain text of a section's name or of a key.
pub(super) fn key_text(rest: &[u8]) -> usize {
    literal_text(rest, |byte| !b"$\n\r;\"'\\]".contains(&byte), true)
}

/// The plain text of a variable's fallback.
pub(super) fn fallback_text(rest: &[u8]) -> usize {
    literal_text(rest, |byte| !b"$\n\r;\"'}\\".contains(&byte), true)
}

/// The longest run of plain bytes, `$x` (x not `{`), `$\x` and, with `escapes`, `\x`.
///
/// After `$\` both readings of the next byte are followed, as a regular expression does.
fn literal_text(rest: &[u8], plain: impl Fn(u8) -> bool, escapes: bool) -> usize {
    let (mut between, mut dollar, mut escaped) = (true, false, false);
    let mut longest = 0;
    for (at, &byte) in rest.iter().enumerate() {
        let after_dollar = dollar && byte != b'{' && byte != 0;
        let next_between = (between && plain(byte)) || after_dollar || escaped;
        escaped = (after_dollar || (between && escapes)) && byte == b'\\';
        dollar = between && byte == b'$';
        between = next_between;
        if between {
            longest = at + 1;
        }
        if !(between || dollar || escaped) {
            break;
        }
    }
    longest
}
