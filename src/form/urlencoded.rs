//! Reads bodies of type `application/x-www-form-urlencoded`: the rules of `php_std_post_handler` (main/php_variables.c) and of
//! `php_url_decode` (ext/standard/url.c).

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3};

/// The limits within which a form is read here. PHP's own reader reports one that exceeds them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `max_input_vars`. PHP compares it as an unsigned number, so a negative one is no limit.
    pub fields: i64,
    /// `max_input_nesting_level`
    pub nesting: i64,
}

/// The fields of a form. It is used for one form after another, so that its memory is reused.
#[derive(Debug, Default)]
pub struct Fields {
    /// Decoded names, each with a NUL byte after it, and decoded values.
    decoded: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    /// In `decoded`, without the NUL.
    name: Range<usize>,
    value: Value,
}

/// Where a value is.
#[derive(Debug)]
enum Value {
    /// In the body, which has it without an escape.
    Plain(Range<usize>),
    /// In `decoded`.
    Decoded(Range<usize>),
}

impl Fields {
    /// Takes `body` apart. False: it exceeds a limit.
    pub fn read(&mut self, body: &[u8], limits: Limits) -> bool {
        self.fields.clear();
        self.decoded.clear();
        let most = u64::from_ne_bytes(limits.fields.to_ne_bytes());
        let mut from = 0;
        while let Some(rest) = body.get(from..).filter(|rest| !rest.is_empty()) {
            if self.fields.len() as u64 >= most {
                return false;
            }
            let Some(length) = self.add(rest, from, limits.nesting) else { return false };
            from += length + 1;
        }
        true
    }

    /// Adds the first field of `rest`, which begins at `from` in the body. Returns its length; `None`: it has too many levels.
    fn add(&mut self, rest: &[u8], from: usize, nesting: i64) -> Option<usize> {
        let shape = Shape::of(rest);
        let (name, rest) = rest.split_at_checked(shape.length)?;
        let begin = self.decoded.len();
        let levels = if shape.plain {
            self.decoded.extend_from_slice(name);
            shape.levels
        } else {
            decode(name, &mut self.decoded);
            self.decoded.get(begin..).map_or(0, levels)
        };
        if levels > 0 && i64::try_from(levels).map_or(true, |levels| levels > nesting) {
            return None;
        }
        let name = begin..self.decoded.len();
        self.decoded.push(0);
        let [b'=', value @ ..] = rest else {
            self.fields.push(Field { name, value: Value::Plain(0..0) });
            return Some(shape.length);
        };
        let first = memchr3(b'&', b'%', b'+', value).unwrap_or(value.len());
        let (value, length) = if value.get(first).is_none_or(|&byte| byte == b'&') {
            let begin = from + shape.length + 1;
            (Value::Plain(begin..begin + first), first)
        } else {
            let length = memchr(b'&', value).unwrap_or(value.len());
            let begin = self.decoded.len();
            decode(value.get(..length).unwrap_or_default(), &mut self.decoded);
            (Value::Decoded(begin..self.decoded.len()), length)
        };
        self.fields.push(Field { name, value });
        Some(shape.length + 1 + length)
    }

    /// The `at`th field: its name, which is followed by a NUL byte in memory, and its value. `body` is the one that was read.
    #[must_use]
    pub fn get<'a>(&'a self, at: usize, body: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let field = self.fields.get(at)?;
        let value = match &field.value {
            Value::Plain(place) => body.get(place.clone())?,
            Value::Decoded(place) => self.decoded.get(place.clone())?,
        };
        // The slice ends with the NUL, so that its pointer may be read up to there.
        Some((self.decoded.get(field.name.start..=field.name.end)?, value))
    }

    /// The number of fields.
    #[must_use]
    pub fn count(&self) -> usize {
        self.fields.len()
    }

    /// Frees memory that a large form has left.
    pub fn shrink(&mut self, bytes: usize) {
        self.fields.clear();
        self.decoded.clear();
        self.decoded.shrink_to(bytes);
        self.fields.shrink_to(bytes / size_of::<Field>());
    }
}

/// What a name is like before it is decoded.
struct Shape {
    length: usize,
    /// It has neither escapes nor NUL bytes.
    plain: bool,
    /// The number of its brackets, if it is plain.
    levels: usize,
}

impl Shape {
    /// That of the first name of `rest`.
    fn of(rest: &[u8]) -> Self {
        let mut shape = Self { length: rest.len(), plain: true, levels: 0 };
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'=' | b'&' => {
                    shape.length = at;
                    break;
                }
                b'%' | b'+' | 0 => shape.plain = false,
                b'[' => shape.levels += 1,
                _ => {}
            }
        }
        shape
    }
}

/// The most levels that a name can have. A name ends at its first NUL byte.
fn levels(name: &[u8]) -> usize {
    let end = memchr(0, name).unwrap_or(name.len());
    name.get(..end).unwrap_or(name).iter().filter(|&&byte| byte == b'[').count()
}

/// From how many bytes without an escape on a search for the next one is worth its start.
const RUN: usize = 16;

/// Appends `raw` decoded: `+` is a space, `%` with two hexadecimal digits a byte, everything else itself.
pub fn decode(raw: &[u8], out: &mut Vec<u8>) {
    out.reserve(raw.len());
    let mut rest = raw;
    let mut run = 0;
    while let [first, more @ ..] = rest {
        let escaped = match (first, more) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match (escaped, first) {
            (Some((high, low)), _) => {
                out.push(high << 4 | low);
                rest = more.get(2..).unwrap_or_default();
                run = 0;
                continue;
            }
            (None, b'+') => {
                out.push(b' ');
                run = 0;
            }
            (None, plain) => {
                out.push(*plain);
                run += 1;
            }
        }
        rest = more;
        if run == RUN {
            let (plain, others) = rest.split_at(memchr2(b'%', b'+', rest).unwrap_or(rest.len()));
            out.extend_from_slice(plain);
            rest = others;
            run = 0;
        }
    }
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    const NONE: u8 = 0xff;
    const DIGITS: [u8; 256] = {
        let mut digits = [NONE; 256];
        let mut at = 0;
        while at < 10 {
            digits[b'0' as usize + at as usize] = at;
            at += 1;
        }
        while at < 16 {
            digits[b'a' as usize + at as usize - 10] = at;
            digits[b'A' as usize + at as usize - 10] = at;
            at += 1;
        }
        digits
    };
    #[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
    let value = DIGITS[usize::from(byte)];
    (value != NONE).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{Fields, Limits, decode};

    const PHP: Limits = Limits { fields: 1000, nesting: 64 };

    fn read(body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut fields = Fields::default();
        assert!(fields.read(body, PHP));
        (0..fields.count())
            .filter_map(|at| fields.get(at, body))
            .map(|(name, value)| {
                let (nul, name) = name.split_last().unwrap();
                assert_eq!(*nul, 0);
                (name.to_vec(), value.to_vec())
            })
            .collect()
    }

    fn pair(name: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (name.to_vec(), value.to_vec())
    }

    #[test]
    fn fields_are_separated_by_ampersands_and_split_at_the_first_equals_sign() {
        assert_eq!(read(b"a=1&b=2=3&c&=4"), [pair(b"a", b"1"), pair(b"b", b"2=3"), pair(b"c", b""), pair(b"", b"4")]);
    }

    #[test]
    fn empty_pieces_count_except_after_the_last_ampersand() {
        assert_eq!(read(b""), []);
        assert_eq!(read(b"&"), [pair(b"", b"")]);
        assert_eq!(read(b"a=1&"), [pair(b"a", b"1")]);
        assert_eq!(read(b"&&a"), [pair(b"", b""), pair(b"", b""), pair(b"a", b"")]);
    }

    #[test]
    fn escapes_need_two_digits() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"a+b", b"a b"),
            (b"%41%4a%4A", b"AJJ"),
            (b"%4", b"%4"),
            (b"%", b"%"),
            (b"%%41", b"%A"),
            (b"%4g%zz", b"%4g%zz"),
            (b"%2B+%25", b"+ %"),
            (b"%00", b"\0"),
            (
                b"0123456789abcdefghijklmno%20pqrstuvwxyz+0123456789abcdef%",
                b"0123456789abcdefghijklmno pqrstuvwxyz 0123456789abcdef%",
            ),
        ];
        for (raw, decoded) in cases {
            let mut out = Vec::new();
            decode(raw, &mut out);
            assert_eq!(out, decoded, "{raw:?}");
        }
    }

    #[test]
    fn limits_are_php_s() {
        let mut fields = Fields::default();
        assert!(fields.read(b"a&b&", Limits { fields: 2, nesting: 0 }));
        assert!(!fields.read(b"a&b&c", Limits { fields: 2, nesting: 0 }));
        assert!(!fields.read(b"a", Limits { fields: 0, nesting: 0 }));
        assert!(fields.read(b"a&b", Limits { fields: -1, nesting: 0 }));
        assert!(fields.read(b"a[b][c]=[[[", Limits { fields: 9, nesting: 2 }));
        assert!(!fields.read(b"a%5bb][c]", Limits { fields: 9, nesting: 1 }));
        assert!(!fields.read(b"a[]", Limits { fields: 9, nesting: -1 }));
        assert!(fields.read(b"a", Limits { fields: 9, nesting: -1 }));
        assert!(fields.read(b"a[]%00[[[[", Limits { fields: 9, nesting: 1 }));
    }
}
