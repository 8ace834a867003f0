//! What is remembered by name for a while, a bounded number of things: names come from clients.

use std::collections::HashMap;

/// Things by name, each with the second it expires at.
#[derive(Debug)]
pub struct Expiring<T> {
    things: HashMap<Vec<u8>, (f64, T)>,
    most: usize,
}

impl<T> Expiring<T> {
    /// None yet, and never more than `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { things: HashMap::new(), most }
    }

    /// The thing of that name, and when it expires; made where there is none, and expired then. Where they are too many, the one that
    /// expires first goes, and is given back.
    pub fn get_or_make(&mut self, name: &[u8], make: impl FnOnce() -> T) -> (Option<(f64, &mut T)>, Option<T>) {
        let mut gone = None;
        if !self.things.contains_key(name) {
            if self.things.len() >= self.most {
                let first = self.things.iter().min_by(|a, b| a.1.0.total_cmp(&b.1.0)).map(|(name, _)| name.clone());
                gone = first.and_then(|name| self.things.remove(&name)).map(|(_, thing)| thing);
            }
            self.things.insert(name.to_vec(), (0.0, make()));
        }
        (self.things.get_mut(name).map(|(expires, thing)| (*expires, thing)), gone)
    }

    /// Sets when a thing expires.
    pub fn renew(&mut self, name: &[u8], expires: f64) {
        if let Some((at, _)) = self.things.get_mut(name) {
            *at = expires;
        }
    }

    /// All of them; none are left.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.things).into_values().map(|(_, thing)| thing)
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
