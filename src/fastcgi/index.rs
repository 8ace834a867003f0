//! Names and values that lie in one buffer, found by their names.

use std::ops::Range;

/// A part of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    at: u32,
    len: u32,
}

impl Text {
    /// The bytes in that range.
    #[must_use]
    pub fn at(range: Range<usize>) -> Self {
        Self { at: narrow(range.start), len: narrow(range.len()) }
    }

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

    /// Where it is.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.at as usize..self.at as usize + self.len as usize
    }

    /// Its bytes.
    #[must_use]
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.range()).unwrap_or_default()
    }
}

/// The reader of the request limits the buffer to some megabytes.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    hash: u32,
    /// One more than the position of the next pair in the same bucket; 0: none.
    next: u16,
    removed: bool,
    /// Its name.
    pub name: Text,
    /// Its value.
    pub value: Text,
}

const BUCKETS: usize = 64;

/// The pairs in order, each name once. Nothing is freed when it is cleared: after warm-up, filling it allocates nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Index {
    pairs: Vec<Pair>,
    /// One more than the position of the last pair of each bucket; 0: none.
    buckets: [u16; BUCKETS],
}

impl Default for Index {
    fn default() -> Self {
        Self { pairs: Vec::with_capacity(64), buckets: [0; BUCKETS] }
    }
}

impl Index {
    /// Removes all pairs.
    pub fn clear(&mut self) {
        self.pairs.clear();
        self.buckets = [0; BUCKETS];
    }

    /// Replaces all pairs by those of another index, whose buffer was copied as well.
    pub fn copy_from(&mut self, other: &Self) {
        self.pairs.clone_from(&other.pairs);
        self.buckets = other.buckets;
    }

    /// How many positions there are, with those of removed pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The pair at a position, unless it was removed.
    #[must_use]
    pub fn nth(&self, at: usize) -> Option<&Pair> {
        self.pairs.get(at).filter(|pair| !pair.removed)
    }

    /// All pairs in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| !pair.removed)
    }

    /// The pair of a name.
    #[inline]
    #[must_use]
    pub fn find(&self, buffer: &[u8], name: &[u8]) -> Option<&Pair> {
        self.pairs.get(self.position(buffer, name, hash(name))?)
    }

    /// The value of a name, to change it.
    pub fn value_mut(&mut self, buffer: &[u8], name: &[u8]) -> Option<&mut Text> {
        let at = self.position(buffer, name, hash(name))?;
        self.pairs.get_mut(at).map(|pair| &mut pair.value)
    }

    /// Removes a name. The other pairs keep their positions. If the name is set again, it gets a new one, as in php-fpm.
    pub fn remove(&mut self, buffer: &[u8], name: &[u8]) {
        if let Some(at) = self.position(buffer, name, hash(name))
            && let Some(pair) = self.pairs.get_mut(at)
        {
            pair.removed = true;
        }
    }

    /// Adds a pair. A name that is there keeps its position and gets the new value.
    #[inline]
    pub fn put(&mut self, buffer: &[u8], name: Text, value: Text) {
        let bytes = name.of(buffer);
        let hash = hash(bytes);
        if let Some(at) = self.position(buffer, bytes, hash)
            && let Some(pair) = self.pairs.get_mut(at)
        {
            pair.value = value;
            return;
        }
        let Ok(number) = u16::try_from(self.pairs.len() + 1) else { return };
        let next = std::mem::replace(&mut self.buckets[hash as usize % BUCKETS], number);
        self.pairs.push(Pair { hash, next, removed: false, name, value });
    }

    fn position(&self, buffer: &[u8], name: &[u8], hash: u32) -> Option<usize> {
        let mut number = self.buckets[hash as usize % BUCKETS];
        while let Some(at) = usize::from(number).checked_sub(1) {
            let pair = self.pairs.get(at)?;
            if pair.hash == hash && !pair.removed && pair.name.of(buffer) == name {
                return Some(at);
            }
            number = pair.next;
        }
        None
    }
}

/// A hash of the length and the last eight bytes, where names differ most. The compiler computes that of a constant name.
#[inline(always)]
fn hash(name: &[u8]) -> u32 {
    const SEED: u64 = 0x517c_c1b7_2722_0a95;
    let end = match name.last_chunk::<8>() {
        Some(end) => u64::from_le_bytes(*end),
        None => name.iter().fold(0, |end, &byte| end << 8 | u64::from(byte)),
    };
    ((end ^ name.len() as u64).wrapping_mul(SEED) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_positions() {
        let buffer = b"A1B2CC";
        let text = |at: usize| Text::at(at..at + 1);
        let mut index = Index::default();
        index.put(buffer, text(0), text(1));
        index.put(buffer, text(2), text(3));
        index.put(buffer, text(0), text(3));
        let values = |index: &Index| index.iter().map(|pair| pair.value.of(buffer).to_vec()).collect::<Vec<_>>();
        assert_eq!(values(&index), [b"2", b"2"]);
        index.remove(buffer, b"A");
        assert_eq!((index.find(buffer, b"A"), index.nth(0), index.len()), (None, None, 2));
        index.put(buffer, text(0), text(1));
        assert_eq!((values(&index), index.len()), (vec![b"2".to_vec(), b"1".to_vec()], 3));
        *index.value_mut(buffer, b"B").unwrap() = text(1);
        let mut other = Index::default();
        other.put(buffer, text(4), text(5));
        other.copy_from(&index);
        assert_eq!(other, index);
        assert_eq!(other.find(buffer, b"B").map(|pair| pair.value), Some(text(1)));
        other.clear();
        assert!(other.is_empty() && other.find(buffer, b"B").is_none());
    }

    #[test]
    fn many_names_in_few_buckets() {
        let names: Vec<u8> = (0..1000).flat_map(|n| format!("{n:04}").into_bytes()).collect();
        let mut index = Index::default();
        for at in (0..names.len()).step_by(4) {
            index.put(&names, Text::at(at..at + 4), Text::at(at..at + 2));
        }
        assert_eq!(index.len(), 1000);
        for at in (0..names.len()).step_by(4) {
            assert_eq!(index.find(&names, &names[at..at + 4]).unwrap().name, Text::at(at..at + 4));
        }
        assert_eq!(index.find(&names, b"1000"), None);
    }
}
