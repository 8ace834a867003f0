//! Texts as C and PHP read them.
#![forbid(unsafe_code)]

/// C's `atol`: blanks, a sign, digits; 0 for nothing, the nearest there is for what doesn't fit.
#[must_use]
pub fn atol(text: &[u8]) -> i64 {
    let blank = |byte: &u8| b" \t\n\r\x0b\x0c".contains(byte);
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let (negative, digits) = match text.get(start..).unwrap_or_default() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    digits.iter().take_while(|byte| byte.is_ascii_digit()).fold(0_i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        value.saturating_mul(10).saturating_add(if negative { -digit } else { digit })
    })
}

/// With `%XX` decoded.
#[must_use]
pub fn url_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_at_what_is_no_digit() {
        assert_eq!((atol(b" \x0b+12a"), atol(b"-7"), atol(b""), atol(b"- 1")), (12, -7, 0, 0));
        assert_eq!((atol(b"99999999999999999999"), atol(b"-99999999999999999999")), (i64::MAX, i64::MIN));
    }

    #[test]
    fn codes_are_decoded_and_the_rest_stays() {
        assert_eq!(url_decoded(b"a%2Fb%2fc%%41%4%zz+"), b"a/b/c%A%4%zz+");
    }
}
