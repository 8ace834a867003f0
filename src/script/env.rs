//! The request's variables as PHP sees them: FastCGI parameters in php-fpm's order, which the path rules then correct.

/// A value in an [`Env`], or a part of one. Behind a whole value stands a NUL byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    at: usize,
    len: usize,
}

impl Text {
    /// Without its first `count` bytes.
    #[must_use]
    pub fn skip(self, count: usize) -> Self {
        let count = count.min(self.len);
        Self { at: self.at + count, len: self.len - count }
    }

    /// Its first `count` bytes.
    #[must_use]
    pub fn take(self, count: usize) -> Self {
        Self { at: self.at, len: self.len.min(count) }
    }
}

#[derive(Debug)]
struct Var {
    hash: u32,
    /// The next variable in the same bucket.
    next: Option<u32>,
    name: Text,
    /// `None`: deleted. It stays in the list, so that the others keep their places.
    value: Option<Text>,
}

const BUCKETS: usize = 128;

/// Variables by name. A name given twice has the later value and the earlier place.
///
/// Nothing is freed between requests: after warm-up, filling it allocates nothing.
#[derive(Debug)]
pub struct Env {
    bytes: Vec<u8>,
    vars: Vec<Var>,
    buckets: [Option<u32>; BUCKETS],
}

impl Default for Env {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(8192), vars: Vec::with_capacity(64), buckets: [None; BUCKETS] }
    }
}

impl Env {
    /// Forgets the previous request.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.vars.clear();
        self.buckets = [None; BUCKETS];
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Text> {
        self.vars.get(self.position(name, hash(name))?)?.value
    }

    /// The bytes of the value of `name`.
    #[must_use]
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.get(name).map(|text| self.bytes(text))
    }

    /// The bytes of a text.
    #[must_use]
    pub fn bytes(&self, text: Text) -> &[u8] {
        self.bytes.get(text.at..text.at + text.len).unwrap_or_default()
    }

    /// Sets `name`. A value ends at its first NUL byte, as it does for PHP.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Text {
        let value = self.keep(value);
        self.put(name, value);
        value
    }

    /// Adds a variable whose name isn't there yet.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let value = self.keep(value);
        self.append(name, hash(name), value);
    }

    /// Sets `name` to a copy of a text that is already here.
    pub fn set_copy(&mut self, name: &[u8], value: Text) -> Text {
        self.set_joined(name, value, None)
    }

    /// Sets `name` to two texts in a row.
    pub fn set_joined(&mut self, name: &[u8], head: Text, tail: Option<Text>) -> Text {
        let at = self.bytes.len();
        self.bytes.extend_from_within(head.at..head.at + head.len);
        if let Some(tail) = tail {
            self.bytes.extend_from_within(tail.at..tail.at + tail.len);
        }
        let value = Text { at, len: self.bytes.len() - at };
        self.bytes.push(0);
        self.put(name, value);
        value
    }

    /// Deletes `name`.
    pub fn remove(&mut self, name: &[u8]) {
        if let Some(at) = self.position(name, hash(name))
            && let Some(var) = self.vars.get_mut(at)
        {
            var.value = None;
        }
    }

    /// Makes `name` the part of its value that `part` names, in place.
    pub fn shrink(&mut self, name: &[u8], part: std::ops::Range<usize>) -> Option<Text> {
        let position = self.position(name, hash(name))?;
        let old = self.vars.get(position)?.value?;
        let end = part.end.min(old.len);
        let start = part.start.min(end);
        let new = Text { at: old.at + start, len: end - start };
        if let Some(byte) = self.bytes.get_mut(new.at + new.len) {
            *byte = 0;
        }
        self.vars.get_mut(position)?.value = Some(new);
        Some(new)
    }

    /// How many places there are; those of deleted variables are empty.
    #[must_use]
    pub fn places(&self) -> usize {
        self.vars.len()
    }

    /// Name and value at a place. php-fpm's order: the last variable to arrive comes first.
    #[must_use]
    pub fn nth(&self, place: usize) -> Option<(Text, Text)> {
        let var = self.vars.get(self.vars.len().checked_sub(place + 1)?)?;
        Some((var.name, var.value?))
    }

    /// Name and value of each variable in that order.
    pub fn iter(&self) -> impl Iterator<Item = (Text, Text)> + '_ {
        (0..self.places()).filter_map(|place| self.nth(place))
    }

    /// Where a text's first byte lies, for callers that hand it to C; valid until the next change.
    #[must_use]
    pub fn pointer(&self, text: Text) -> *const u8 {
        self.bytes.get(text.at..).map_or(std::ptr::null(), <[u8]>::as_ptr)
    }

    fn keep(&mut self, bytes: &[u8]) -> Text {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes.get(..end).unwrap_or_default());
        self.bytes.push(0);
        Text { at, len: end }
    }

    fn put(&mut self, name: &[u8], value: Text) {
        let hash = hash(name);
        if let Some(at) = self.position(name, hash)
            && let Some(var) = self.vars.get_mut(at)
        {
            var.value = Some(value);
        } else {
            self.append(name, hash, value);
        }
    }

    fn append(&mut self, name: &[u8], hash: u32, value: Text) {
        let Ok(number) = u32::try_from(self.vars.len()) else { return };
        let name = self.keep(name);
        let bucket = &mut self.buckets[hash as usize % BUCKETS];
        self.vars.push(Var { hash, next: *bucket, name, value: Some(value) });
        *bucket = Some(number);
    }

    /// A deleted variable isn't found: setting it again makes a new one in front, as in php-fpm.
    fn position(&self, name: &[u8], hash: u32) -> Option<usize> {
        let mut next = self.buckets[hash as usize % BUCKETS];
        while let Some(number) = next {
            let var = self.vars.get(number as usize)?;
            if var.hash == hash && var.value.is_some() && self.bytes(var.name) == name {
                return Some(number as usize);
            }
            next = var.next;
        }
        None
    }
}

/// Eight bytes at a time; names are short and come from the web server.
fn hash(name: &[u8]) -> u32 {
    const SEED: u64 = 0x517c_c1b7_2722_0a95;
    let mut state = name.len() as u64;
    let (chunks, rest) = name.as_chunks::<8>();
    for chunk in chunks {
        state = (state.rotate_left(5) ^ u64::from_le_bytes(*chunk)).wrapping_mul(SEED);
    }
    let mut tail = [0; 8];
    for (to, from) in tail.iter_mut().zip(rest) {
        *to = *from;
    }
    state = (state.rotate_left(5) ^ u64::from_le_bytes(tail)).wrapping_mul(SEED);
    (state >> 32) as u32
}
