//! A check that a borrow is not begun again before it ends: what a `RefCell` does, for a value that PHP holds by a raw pointer.
//! It costs nothing in a build without debug assertions.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static BORROWED: Cell<bool> = const { Cell::new(false) };
}

/// A borrow of the context of the current request. It ends when this is dropped.
pub(super) struct Borrow(PhantomData<*const ()>);

impl Borrow {
    /// Begins the borrow.
    ///
    /// # Panics
    /// With debug assertions, if another borrow has not ended: a callback was entered from within `context::with`.
    pub(super) fn begin() -> Self {
        if cfg!(debug_assertions) {
            assert!(!BORROWED.replace(true), "context::with was entered again: its closure has called PHP");
        }
        Self(PhantomData)
    }
}

impl Drop for Borrow {
    fn drop(&mut self) {
        if cfg!(debug_assertions) {
            BORROWED.set(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Borrow;

    #[test]
    fn borrows_follow_each_other() {
        drop(Borrow::begin());
        drop(Borrow::begin());
    }

    #[test]
    #[should_panic(expected = "entered again")]
    fn a_second_borrow_within_the_first_panics() {
        let _first = Borrow::begin();
        let _second = Borrow::begin();
    }
}
