//! Numbers and codes in text, as C and PHP read them.
#![forbid(unsafe_code)]

/// C's `atol`: blanks, a sign, digits. No digits are 0; a number that does not fit becomes the nearest that does.
#[must_use]
pub(crate) fn atol(text: &[u8]) -> i64 {
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

/// C's `atoi`: blanks, a sign, digits. No digits are 0; of a number that does not fit, the low 32 bits count.
#[must_use]
pub(crate) fn atoi(text: &[u8]) -> i32 {
    low_bits(atol(text))
}

fn low_bits(value: i64) -> i32 {
    let low = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    low.cast_signed()
}

/// FNV-1a: the same in all versions of this program.
pub(crate) fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let fold = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, fold)
}

/// Decodes `%XX`.
#[must_use]
pub(crate) fn url_decoded(text: &[u8]) -> Vec<u8> {
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

/// A time since 1970 as web servers write it, in microseconds: `t=` may stand before it; with a point it is in seconds (nginx:
/// `$msec`), without one in seconds, milliseconds or microseconds (Apache: `%t`), whatever gives a time of this century.
#[must_use]
pub(crate) fn request_start(text: &[u8]) -> Option<u64> {
    const MILLIS: u64 = 100_000_000_000;
    const MICROS: u64 = MILLIS * 1000;
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_prefix("t=").unwrap_or(text);
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((seconds, fraction)) = text.split_once('.') {
        let fraction = fraction.get(..fraction.len().min(6)).filter(|fraction| is_number(fraction))?;
        let scale = (fraction.len()..6).fold(1, |scale, _| scale * 10);
        let seconds: u64 = Some(seconds).filter(|seconds| is_number(seconds))?.parse().ok()?;
        return seconds.checked_mul(1_000_000)?.checked_add(fraction.parse::<u64>().ok()? * scale);
    }
    match Some(text).filter(|text| is_number(text))?.parse().ok()? {
        micros if micros >= MICROS => Some(micros),
        millis if millis >= MILLIS => Some(millis * 1000),
        seconds => Some(seconds * 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_start_of_a_request_panics(text in "(t=)?[0-9]*[.]?.{0,9}") {
            let _ = request_start(text.as_bytes());
        }
    }

    #[test]
    fn the_start_of_a_request_has_the_unit_that_makes_sense() {
        let start = |text: &str| request_start(text.as_bytes());
        const TIME: Option<u64> = Some(1_700_000_000_123_000);
        assert_eq!((start("1700000000.123"), start("t=1700000000.123")), (TIME, TIME));
        assert_eq!((start("t=1700000000123000"), start("1700000000123")), (TIME, TIME));
        assert_eq!(start("1700000000"), Some(1_700_000_000_000_000));
        assert_eq!(start("1700000000.1234567"), Some(1_700_000_000_123_456));
        for wrong in
            ["", "t=", "-1", "x", ".5", "5.", "1.x", "1e9", "99999999999999999999", "99999999999999999999.1", "\u{e9}"]
        {
            assert_eq!(start(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_end_at_what_is_no_digit() {
        assert_eq!((atol(b" \x0b+12a"), atol(b"-7"), atol(b""), atol(b"- 1")), (12, -7, 0, 0));
        assert_eq!((atol(b"99999999999999999999"), atol(b"-99999999999999999999")), (i64::MAX, i64::MIN));
    }

    #[test]
    fn codes_are_decoded_and_the_rest_stays() {
        assert_eq!(url_decoded(b"a%2Fb%2fc%%41%4%zz+"), b"a/b/c%A%4%zz+");
    }

    #[test]
    fn atoi_reads_what_c_reads() {
        let read = |text: &str| atoi(text.as_bytes());
        assert_eq!([read("12"), read(" \t-7x"), read("+3"), read(""), read("x1"), read("-")], [12, -7, 3, 0, 0, 0]);
        assert_eq!(read("99999999999"), 1_215_752_191);
        assert_eq!(read("99999999999999999999999"), -1);
        assert_eq!(read("-99999999999999999999999"), 0);
    }

    proptest::proptest! {
        #[test]
        fn atoi_agrees_with_rust_on_numbers_that_fit(number: i32) {
            proptest::prop_assert_eq!(atoi(number.to_string().as_bytes()), number);
        }
    }
}
