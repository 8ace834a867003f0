//! The variables of a request: FastCGI parameters in php-fpm's order. The rules for paths then correct some of them.

pub use crate::fastcgi::index::Text;

use std::ops::Range;

use crate::fastcgi::index::Index;

/// Variables by name. A name that is set twice has the later value and the earlier position.
///
/// Nothing is freed between requests: after warm-up, filling it allocates nothing.
#[derive(Debug)]
pub struct Env {
    /// A NUL byte follows each whole value.
    bytes: Vec<u8>,
    index: Index,
}

impl Default for Env {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(8192), index: Index::default() }
    }
}

impl Env {
    /// Replaces all variables by those of a request, in the order of arrival, each name once.
    pub fn fill(&mut self, bytes: &[u8], index: &Index) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.index.copy_from(index);
    }

    /// The value of `name`. It ends at its first NUL byte, as it does for PHP.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Text> {
        self.index.find(&self.bytes, name).map(|pair| self.cut(pair.value))
    }

    /// The bytes of the value of `name`.
    #[inline]
    #[must_use]
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.get(name).map(|text| self.bytes(text))
    }

    /// The bytes of a text.
    #[must_use]
    pub fn bytes(&self, text: Text) -> &[u8] {
        text.of(&self.bytes)
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
        self.index.remove(&self.bytes, name);
    }

    /// Shortens the value of `name` to a part of it, in place.
    pub fn shrink(&mut self, name: &[u8], part: Range<usize>) -> Option<Text> {
        let value = self.index.value_mut(&self.bytes, name)?;
        let new = value.take(part.end).skip(part.start);
        *value = new;
        if let Some(byte) = self.bytes.get_mut(new.range().end) {
            *byte = 0;
        }
        Some(new)
    }

    /// The number of positions; those of deleted variables are empty.
    #[must_use]
    pub fn places(&self) -> usize {
        self.index.len()
    }

    /// Name and value at a position, with any NUL bytes. php-fpm's order: the last variable to arrive comes first.
    #[must_use]
    pub fn nth(&self, place: usize) -> Option<(Text, Text)> {
        let pair = self.index.nth(self.index.len().checked_sub(place + 1)?)?;
        Some((pair.name, pair.value))
    }

    /// Name and value of each variable in that order.
    pub fn iter(&self) -> impl Iterator<Item = (Text, Text)> + '_ {
        self.index.iter().rev().map(|pair| (self.cut(pair.name), self.cut(pair.value)))
    }

    /// A pointer to the first byte of a text, for C. It is valid until the next change.
    #[must_use]
    pub fn pointer(&self, text: Text) -> *const u8 {
        self.bytes.get(text.range()).map_or(std::ptr::null(), <[u8]>::as_ptr)
    }

    fn cut(&self, text: Text) -> Text {
        memchr::memchr(0, self.bytes(text)).map_or(text, |length| text.take(length))
    }

    fn keep(&mut self, bytes: &[u8]) -> Text {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.bytes.push(0);
        Text::at(at..at + bytes.len())
    }

    fn put(&mut self, name: &[u8], value: Text) {
        if let Some(known) = self.index.value_mut(&self.bytes, name) {
            *known = value;
            return;
        }
        let name = self.keep(name);
        self.index.put(&self.bytes, name, value);
    }
}
