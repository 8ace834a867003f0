//! The variables of a request: FastCGI parameters in php-fpm's order. The rules for paths then correct some of them.

use std::ffi::CStr;
use std::ops::Range;

/// A value in an [`Env`], or a part of one. A NUL byte follows each whole value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    at: u32,
    len: u32,
}

impl Text {
    /// Without its first `count` bytes.
    #[must_use]
    pub fn skip(self, count: usize) -> Self {
        let count = narrow(count).min(self.len);
        Self { at: self.at + count, len: self.len - count }
    }

    /// Its first `count` bytes.
    #[must_use]
    pub fn take(self, count: usize) -> Self {
        Self { at: self.at, len: self.len.min(narrow(count)) }
    }

    /// Its length.
    #[must_use]
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    fn at(range: Range<usize>) -> Self {
        Self { at: narrow(range.start), len: narrow(range.len()) }
    }

    fn range(self) -> Range<usize> {
        self.at as usize..self.at as usize + self.len as usize
    }
}

/// The reader of the request limits the variables to some megabytes.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[derive(Debug)]
struct Var {
    hash: u32,
    /// One more than the index of the next variable in the same bucket; 0: none.
    next: u16,
    /// A deleted variable stays in the list, so that the others keep their index.
    deleted: bool,
    name: Text,
    value: Text,
}

const BUCKETS: usize = 64;

/// Variables by name. A name that is set twice has the later value and the earlier position.
///
/// Nothing is freed between requests: after warm-up, filling it allocates nothing.
#[derive(Debug)]
pub struct Env {
    bytes: Vec<u8>,
    vars: Vec<Var>,
    /// One more than the index of the last variable of each bucket; 0: none.
    buckets: [u16; BUCKETS],
}

impl Default for Env {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(8192), vars: Vec::with_capacity(64), buckets: [0; BUCKETS] }
    }
}

impl Env {
    /// Replaces all variables by those of a request, in the order of arrival, each name once. `places` are the ranges of names and
    /// values in `bytes`.
    pub fn fill(&mut self, bytes: &[u8], places: impl Iterator<Item = (Range<usize>, Range<usize>)>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.vars.clear();
        self.buckets = [0; BUCKETS];
        for (name, value) in places {
            let name = Text::at(name);
            self.append(hash(self.bytes(name)), name, Text::at(value));
        }
    }

    /// The value of `name`. It ends at its first NUL byte, as it does for PHP.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Text> {
        Some(self.cut(self.vars.get(self.position(name, hash(name))?)?.value))
    }

    /// The bytes of the value of `name`.
    #[must_use]
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.get(name).map(|text| self.bytes(text))
    }

    /// The bytes of a text.
    #[must_use]
    pub fn bytes(&self, text: Text) -> &[u8] {
        self.bytes.get(text.range()).unwrap_or_default()
    }

    /// Sets `name`.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Text {
        let value = self.keep(value);
        self.put(name, value);
        value
    }

    /// Sets `name` to a copy of a text of this `Env`.
    pub fn set_copy(&mut self, name: &[u8], value: Text) -> Text {
        self.set_joined(name, value, None)
    }

    /// Sets `name` to the concatenation of two texts.
    pub fn set_joined(&mut self, name: &[u8], head: Text, tail: Option<Text>) -> Text {
        let at = self.bytes.len();
        self.bytes.extend_from_within(head.range());
        if let Some(tail) = tail {
            self.bytes.extend_from_within(tail.range());
        }
        let value = Text::at(at..self.bytes.len());
        self.bytes.push(0);
        self.put(name, value);
        value
    }

    /// Deletes `name`.
    pub fn remove(&mut self, name: &[u8]) {
        if let Some(at) = self.position(name, hash(name))
            && let Some(var) = self.vars.get_mut(at)
        {
            var.deleted = true;
        }
    }

    /// Shortens the value of `name` to a part of it, in place.
    pub fn shrink(&mut self, name: &[u8], part: Range<usize>) -> Option<Text> {
        let position = self.position(name, hash(name))?;
        let var = self.vars.get_mut(position)?;
        let new = var.value.take(part.end).skip(part.start);
        var.value = new;
        if let Some(byte) = self.bytes.get_mut(new.range().end) {
            *byte = 0;
        }
        Some(new)
    }

    /// The number of positions; those of deleted variables are empty.
    #[must_use]
    pub fn places(&self) -> usize {
        self.vars.len()
    }

    /// Name and value at a position, with any NUL bytes. php-fpm's order: the last variable to arrive comes first.
    #[must_use]
    pub fn nth(&self, place: usize) -> Option<(Text, Text)> {
        let var = self.vars.get(self.vars.len().checked_sub(place + 1)?)?;
        (!var.deleted).then_some((var.name, var.value))
    }

    /// Name and value of each variable in that order.
    pub fn iter(&self) -> impl Iterator<Item = (Text, Text)> + '_ {
        (0..self.places()).filter_map(|place| self.nth(place)).map(|(name, value)| (self.cut(name), self.cut(value)))
    }

    /// A pointer to the first byte of a text, for C. It is valid until the next change.
    #[must_use]
    pub fn pointer(&self, text: Text) -> *const u8 {
        self.bytes.get(text.range()).map_or(std::ptr::null(), <[u8]>::as_ptr)
    }

    fn cut(&self, text: Text) -> Text {
        let with_end = self.bytes.get(text.at as usize..).unwrap_or_default();
        CStr::from_bytes_until_nul(with_end).map_or(text, |c_text| text.take(c_text.count_bytes()))
    }

    fn keep(&mut self, bytes: &[u8]) -> Text {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.bytes.push(0);
        Text::at(at..at + bytes.len())
    }

    fn put(&mut self, name: &[u8], value: Text) {
        let hash = hash(name);
        if let Some(at) = self.position(name, hash)
            && let Some(var) = self.vars.get_mut(at)
        {
            var.value = value;
        } else {
            let name = self.keep(name);
            self.append(hash, name, value);
        }
    }

    fn append(&mut self, hash: u32, name: Text, value: Text) {
        let Ok(number) = u16::try_from(self.vars.len() + 1) else { return };
        let bucket = &mut self.buckets[hash as usize % BUCKETS];
        let next = std::mem::replace(bucket, number);
        self.vars.push(Var { hash, next, deleted: false, name, value });
    }

    /// The index of a variable. A deleted one is not found: setting it again adds it in front, as in php-fpm.
    fn position(&self, name: &[u8], hash: u32) -> Option<usize> {
        let mut number = self.buckets[hash as usize % BUCKETS];
        while let Some(at) = usize::from(number).checked_sub(1) {
            let var = self.vars.get(at)?;
            if var.hash == hash && !var.deleted && self.bytes(var.name) == name {
                return Some(at);
            }
            number = var.next;
        }
        None
    }
}

/// A hash of the length and the last eight bytes, where names differ most.
fn hash(name: &[u8]) -> u32 {
    const SEED: u64 = 0x517c_c1b7_2722_0a95;
    let end = match name.last_chunk::<8>() {
        Some(end) => u64::from_le_bytes(*end),
        None => name.iter().fold(0, |end, &byte| end << 8 | u64::from(byte)),
    };
    ((end ^ name.len() as u64).wrapping_mul(SEED) >> 32) as u32
}
