//! What the program promises about its process when it starts. Two parts of `sys` rest on that promise: [`super::single_threaded`]
//! and [`super::inherited`].

use super::{inherited, single_threaded};

/// Notes which descriptors the process was given, and that it has one thread. The first call of every program that runs this
/// crate: the library's entry points, and the `main` of an example.
///
/// # Safety
/// - The process has one thread. Threads that are not started by [`single_threaded::spawn`] run no code of this crate.
/// - No value in the process owns a descriptor that is open now, except for the standard streams. So it comes before any file is
///   opened in Rust, and before PHP starts.
pub unsafe fn begin() {
    // SAFETY: the caller vouches that no value owns an open descriptor.
    unsafe { inherited::note() };
    // SAFETY: the caller vouches that there is one thread, and for those that others start.
    unsafe { single_threaded::begin() };
}
