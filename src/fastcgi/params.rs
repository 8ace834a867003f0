//! Name-value pairs (FastCGI 1.0, section 3.4), decoded in place into `name\0value\0`.

use std::ffi::CStr;
use std::ops::Range;

use super::index::{Index, Pair, Text};

/// Why name-value pairs were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPairs {
    /// A length exceeds the bytes that there are.
    #[error("a name-value pair is longer than what was sent")]
    Cut,
    /// More pairs than the limit.
    #[error("too many parameters")]
    TooMany,
}

/// The parameters of one request, in the buffer that they were received in.
///
/// A name that was sent twice keeps its first place and its last value, as in php-fpm. `FCGI_ROLE` comes first, as in
/// php-fpm.
#[derive(Debug, Default)]
pub struct Params {
    /// The input buffer; parameters lie before the bytes of the body.
    pub(super) bytes: Vec<u8>,
    index: Index,
    /// Where the last NUL ends.
    end: usize,
    /// Room in the buffer for one more parameter, which is not on the wire.
    room: Range<usize>,
}

impl Params {
    /// No parameters yet, in that buffer. `room`: where `set` writes.
    pub(super) fn in_buffer(bytes: Vec<u8>, room: Range<usize>) -> Self {
        Self { bytes, room, ..Self::default() }
    }

    /// Sets a parameter that the client has not sent, or has sent with another value. There is room for one. Returns false if
    /// it is too long; nothing has changed then.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let needed = name.len() + value.len() + 2;
        let Some(room) = self.bytes.get_mut(self.room.clone()).filter(|room| room.len() >= needed) else {
            return false;
        };
        for (to, from) in room.iter_mut().zip(name.iter().chain(b"\0").chain(value).chain(b"\0")) {
            *to = *from;
        }
        self.add_written(self.room.start, name.len(), value.len());
        true
    }

    /// The value of that name.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.index.find(&self.bytes, name).map(|pair| pair.value.of(&self.bytes))
    }

    /// The value of that name as a C string, cut at its first NUL.
    #[inline]
    #[must_use]
    pub fn get_c(&self, name: &[u8]) -> Option<&CStr> {
        self.index.find(&self.bytes, name).map(|pair| self.c_string(pair.value))
    }

    /// All pairs in the order of arrival (php-fpm's `$_SERVER` has them in reverse); each name and each value is followed by a NUL byte in memory.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&CStr, &[u8])> {
        self.index.iter().map(|Pair { name, value, .. }| (self.c_string(*name), value.of(&self.bytes)))
    }

    /// To make a copy: all bytes up to the last NUL, and where the names and values are in them.
    #[must_use]
    pub fn parts(&self) -> (&[u8], &Index) {
        (self.bytes.get(..self.end).unwrap_or_default(), &self.index)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Drops the pairs; the buffer stays.
    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.end = 0;
    }

    /// Adds the pair that lies as `name\0value\0` at an offset.
    pub(super) fn add_written(&mut self, at: usize, name_len: usize, value_len: usize) {
        let value = at + name_len + 1;
        let end = value + value_len;
        self.index.put(&self.bytes, Text::at(at..at + name_len), Text::at(value..end));
        self.end = self.end.max(end + 1);
    }

    /// Decodes the pairs in a range of the buffer; the byte after the range is overwritten. A name moves by one byte,
    /// over its lengths, which leaves room for its NUL. A value stays; its NUL overwrites the first length byte of
    /// the next pair, which has been read before.
    pub(super) fn decode(&mut self, range: Range<usize>, most: usize) -> Result<(), BadPairs> {
        let Range { start: mut at, end } = range;
        let mut left = most;
        while at < end {
            let lengths = Lengths::read(self.bytes.get(at..end).unwrap_or_default()).ok_or(BadPairs::Cut)?;
            left = left.checked_sub(1).ok_or(BadPairs::TooMany)?;
            let name = at + lengths.header;
            let value = name + lengths.name;
            self.bytes[at] = 0;
            self.bytes.copy_within(name..value, name - 1);
            self.bytes[value - 1] = 0;
            self.add_written(name - 1, lengths.name, lengths.value);
            at = value + lengths.value;
        }
        self.bytes[end] = 0;
        Ok(())
    }

    /// A text that a NUL byte follows.
    fn c_string(&self, text: Text) -> &CStr {
        let with_nul = self.bytes.get(text.range().start..=text.range().end).unwrap_or_default();
        CStr::from_bytes_until_nul(with_nul).unwrap_or_default()
    }
}

/// The lengths at the head of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    /// Bytes that the lengths themselves take.
    pub(super) header: usize,
    pub(super) name: usize,
    pub(super) value: usize,
}

impl Lengths {
    /// Reads the lengths at the start of `bytes`; `None` if they, or the name and value, aren't complete.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (name, first) = length(bytes)?;
        let (value, second) = length(bytes.get(first..)?)?;
        let header = first + second;
        (name.checked_add(value)? <= bytes.len() - header).then_some(Self { header, name, value })
    }
}

/// One length (one byte, or four with the top bit set) and the bytes it takes.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes {
        [short, ..] if short < 0x80 => Some((usize::from(short), 1)),
        [a, b, c, d, ..] => {
            let long = u32::from_be_bytes([a & 0x7f, b, c, d]);
            Some((usize::try_from(long).ok()?, 4))
        }
        _ => None,
    }
}

/// Appends a pair in wire form. Lengths above 2^31 can't be expressed; nothing is appended then.
pub fn push_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let (Some(name_len), Some(value_len)) = (wire_length(name), wire_length(value)) else { return };
    for length in [name_len, value_len] {
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => out.push(short),
            _ => out.extend_from_slice(&(length | 0x8000_0000).to_be_bytes()),
        }
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

fn wire_length(bytes: &[u8]) -> Option<u32> {
    u32::try_from(bytes.len()).ok().filter(|&length| length < 0x8000_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(wire: &[u8], most: usize) -> Result<Params, BadPairs> {
        let mut params = Params { bytes: [wire, b"?"].concat(), ..Params::default() };
        params.decode(0..wire.len(), most).map(|()| params)
    }

    fn wire(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in pairs {
            push_pair(&mut out, name, value);
        }
        out
    }

    #[test]
    fn short_and_long_lengths() {
        let (name, value) = (vec![b'n'; 200], vec![b'v'; 70_000]);
        let params = decoded(&wire(&[(b"A", b"1"), (&name, b""), (b"", &value), (b"B", &value)]), 10).unwrap();
        assert_eq!(params.len(), 4);
        assert_eq!(params.get(b"A"), Some(&b"1"[..]));
        assert_eq!(params.get(&name), Some(&b""[..]));
        assert_eq!(params.get(b""), Some(&value[..]));
        assert_eq!(params.get_c(b"B").unwrap().to_bytes(), value);
        assert_eq!(params.get(b"C"), None);
    }

    #[test]
    fn names_and_values_end_with_nul() {
        let params = decoded(&wire(&[(b"NAME", b"value"), (b"EMPTY", b""), (b"CUT", b"a\0b")]), 10).unwrap();
        assert_eq!(&params.bytes[1..12], b"NAME\0value\0");
        assert_eq!(params.bytes.last(), Some(&0));
        assert_eq!(params.get_c(b"EMPTY"), Some(c""));
        assert_eq!(params.get_c(b"CUT"), Some(c"a"));
        assert_eq!(params.get(b"CUT"), Some(&b"a\0b"[..]));
        let names: Vec<_> = params.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [c"NAME", c"EMPTY", c"CUT"]);
    }

    #[test]
    fn the_last_value_wins_at_the_first_place() {
        let params = decoded(&wire(&[(b"A", b"1"), (b"B", b"2"), (b"A", b"3")]), 10).unwrap();
        let pairs: Vec<_> = params.iter().collect();
        assert_eq!(pairs, [(c"A", &b"3"[..]), (c"B", &b"2"[..])]);
    }

    #[test]
    fn a_parameter_is_set_beside_those_that_were_sent() {
        let sent = wire(&[(b"ID", b"a\nb"), (b"B", b"2")]);
        let read = |name: &[u8], value: &[u8]| {
            let bytes = [&[0; 10], &sent[..], b"?"].concat();
            let mut params = Params::in_buffer(bytes, 0..10);
            params.decode(10..10 + sent.len(), 9).unwrap();
            let set = params.set(name, value);
            let pairs: Vec<_> = params.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
            let (copy, index) = params.parts();
            let with_nul = |text: Text| copy[text.range().start..=text.range().end].to_vec();
            let copied: Vec<_> = index.iter().map(|pair| (with_nul(pair.name), with_nul(pair.value))).collect();
            let expected =
                pairs.iter().map(|(name, value)| (name.to_bytes_with_nul().to_vec(), [value, &b"\0"[..]].concat()));
            assert_eq!(copied, expected.collect::<Vec<_>>());
            (set, pairs)
        };
        let pair = |name: &std::ffi::CStr, value: &[u8]| (name.to_owned(), value.to_vec());
        assert_eq!(read(b"ID", b"123456"), (true, vec![pair(c"ID", b"123456"), pair(c"B", b"2")]));
        // The last one on the wire: its name now is after all values.
        assert_eq!(read(b"B", b"123"), (true, vec![pair(c"ID", b"a\nb"), pair(c"B", b"123")]));
        assert_eq!(
            read(b"NEW", b"12345"),
            (true, vec![pair(c"ID", b"a\nb"), pair(c"B", b"2"), pair(c"NEW", b"12345")])
        );
        assert_eq!(read(b"ID", b"1234567"), (false, vec![pair(c"ID", b"a\nb"), pair(c"B", b"2")]));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for bad in [
            &b"\x01"[..],
            b"\x80\0\0",
            b"\x02\x00a",
            b"\x01\x02ab",
            b"\x01\xff\xff\xff\xffa",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(decoded(bad, 10).unwrap_err(), BadPairs::Cut, "{bad:?}");
        }
    }

    #[test]
    fn pairs_are_counted() {
        for two in [wire(&[(b"A", b"1"), (b"B", b"2")]), wire(&[(b"A", b"1"), (b"A", b"2")])] {
            assert!(decoded(&two, 2).is_ok());
            assert_eq!(decoded(&two, 1).unwrap_err(), BadPairs::TooMany);
        }
    }
}
