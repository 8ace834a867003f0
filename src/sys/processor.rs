//! What the processor can do.
#![forbid(unsafe_code)]

use std::hint::black_box;

/// Searches some bytes. The first search of a process asks the processor what it can do (`CPUID`), which takes long in a virtual machine.
/// Processes that are forked afterwards have the answer.
pub fn ask() {
    black_box(memchr::memchr(b'x', black_box(&[0; 64])));
}
