//! Keys of `$_SERVER` that a worker keeps from one request to the next: strings of PHP with their hashes, so that no request has to
//! make them again.

use std::cell::RefCell;
use std::ptr::null_mut;

use super::ffi::{self, zend_string_hash_func};
use super::zend_string;

/// A power of two. Web servers send 30 to 60 variables.
const SLOTS: usize = 512;
/// How many slots a name may be in.
const TRIES: usize = 4;
/// Longer names are not kept: clients choose a part of the names.
const LONGEST: usize = 64;

thread_local! {
    static KEYS: RefCell<Keys> = const { RefCell::new(Keys([null_mut(); SLOTS])) };
}

/// A slot, once filled, keeps its string for the life of the process, since values of PHP may refer to it. If clients fill all slots
/// with names of their own, PHP makes the keys of other names.
struct Keys([*mut ffi::zend_string; SLOTS]);

/// The key for a name. It lives as long as the process, and PHP does not count references to it. `None`: PHP has to register the
/// variable, because it would change the name, or because there is no room.
pub(super) fn find(name: &[u8]) -> Option<*mut ffi::zend_string> {
    KEYS.with_borrow_mut(|keys| keys.find(name))
}

impl Keys {
    fn find(&mut self, name: &[u8]) -> Option<*mut ffi::zend_string> {
        let first = hash(name);
        for at in (0..TRIES).map(|more| (first + more) % SLOTS) {
            let slot = self.0.get_mut(at)?;
            if slot.is_null() {
                *slot = make(name)?;
                return Some(*slot);
            }
            // SAFETY: a slot that is filled has a string of `make`, which is one of `permanent`.
            if unsafe { zend_string::bytes(*slot) } == name {
                return Some(*slot);
            }
        }
        None
    }
}

fn make(name: &[u8]) -> Option<*mut ffi::zend_string> {
    if name.len() > LONGEST || !is_kept_as_it_is(name) {
        return None;
    }
    let key = zend_string::permanent(name);
    if key.is_null() {
        return None;
    }
    // SAFETY: `permanent` has just made it. The function stores the hash in it.
    unsafe { zend_string_hash_func(key) };
    Some(key)
}

/// Whether PHP registers a variable under exactly this name: PHP replaces spaces, dots and brackets, and numbers are keys of another
/// kind (`php_register_variable_ex`).
fn is_kept_as_it_is(name: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.first().is_some_and(letter) && name.iter().all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// Of the length and the last eight bytes, where names differ most.
fn hash(name: &[u8]) -> usize {
    let end = match name.last_chunk::<8>() {
        Some(end) => u64::from_le_bytes(*end),
        None => name.iter().fold(0, |end, &byte| end << 8 | u64::from(byte)),
    };
    ((end ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_kept() {
        for plain in ["HTTP_HOST", "a", "_", "A1", "this", "GLOBALS"] {
            assert!(is_kept_as_it_is(plain.as_bytes()), "{plain}");
        }
        for other in ["", "1", "12a", "a.b", "a b", "a[b]", "a-b", " a", "caf\u{e9}", "__Host-a"] {
            assert!(!is_kept_as_it_is(other.as_bytes()), "{other}");
        }
    }
}
