//! A cache by name, with an expiry for each entry and a bound: names come from clients.

use std::collections::HashMap;

/// Entries by name.
#[derive(Debug)]
pub(crate) struct Expiring<T> {
    entries: Vec<Entry<T>>,
    /// Where the entry of a name is.
    places: HashMap<Vec<u8>, usize>,
    /// The place of the entry that was looked up last. Most requests ask for the same one again.
    last: usize,
    most: usize,
}

#[derive(Debug)]
struct Entry<T> {
    name: Vec<u8>,
    /// In seconds.
    expires: f64,
    value: T,
}

impl<T> Expiring<T> {
    /// Empty; it never has more than `most` entries.
    #[must_use]
    pub(crate) fn new(most: usize) -> Self {
        Self { entries: Vec::new(), places: HashMap::new(), last: 0, most }
    }

    /// Returns the value of that name and the second at which it expires. A missing one is made, as one that has expired. If there
    /// are too many, the one that expires first is removed and returned as well.
    pub(crate) fn get_or_make(&mut self, name: &[u8], make: impl FnOnce() -> T) -> (Option<(f64, &mut T)>, Option<T>) {
        let mut gone = None;
        let at = match self.place(name) {
            Some(at) => at,
            None => {
                let new = Entry { name: name.to_vec(), expires: 0.0, value: make() };
                let at = if self.entries.len() < self.most {
                    self.entries.push(new);
                    self.entries.len() - 1
                } else {
                    let (at, old) = self.replace_first(new);
                    gone = old;
                    at
                };
                self.places.insert(name.to_vec(), at);
                self.last = at;
                at
            }
        };
        (self.entries.get_mut(at).map(|entry| (entry.expires, &mut entry.value)), gone)
    }

    /// Puts an entry in the place of the one that expires first, whose value is returned with the place.
    fn replace_first(&mut self, new: Entry<T>) -> (usize, Option<T>) {
        let first = self.entries.iter_mut().enumerate().min_by(|(_, a), (_, b)| a.expires.total_cmp(&b.expires));
        let Some((at, entry)) = first else { return (0, None) };
        let old = std::mem::replace(entry, new);
        self.places.remove(&old.name);
        (at, Some(old.value))
    }

    fn place(&mut self, name: &[u8]) -> Option<usize> {
        if self.entries.get(self.last).is_some_and(|entry| entry.name == name) {
            return Some(self.last);
        }
        self.last = *self.places.get(name)?;
        Some(self.last)
    }

    /// Sets the second at which an entry expires.
    pub(crate) fn renew(&mut self, name: &[u8], expires: f64) {
        if let Some(entry) = self.place(name).and_then(|at| self.entries.get_mut(at)) {
            entry.expires = expires;
        }
    }

    /// Removes all entries and returns their values.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = T> {
        self.places.clear();
        std::mem::take(&mut self.entries).into_iter().map(|entry| entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::Expiring;

    #[test]
    fn the_one_that_expires_first_makes_room() {
        let mut known = Expiring::new(3);
        for (name, at) in [(b"a", 30.0), (b"b", 10.0), (b"c", 20.0)] {
            assert_eq!(known.get_or_make(name, || name[0]), (Some((0.0, &mut name[0].clone())), None));
            known.renew(name, at);
        }
        assert_eq!(known.get_or_make(b"d", || b'd').1, Some(b'b'));
        // A new one has expired: unless it is renewed, it is the next to go.
        assert_eq!(known.get_or_make(b"e", || b'e').1, Some(b'd'));
        assert_eq!(known.get_or_make(b"a", || b'x'), (Some((30.0, &mut b'a')), None));
        let mut left: Vec<u8> = known.take_all().collect();
        left.sort_unstable();
        assert_eq!(left, b"ace");
        assert_eq!(known.take_all().count(), 0);
    }
}
