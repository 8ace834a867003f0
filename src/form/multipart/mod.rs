//! Takes bodies of type `multipart/form-data` apart: the rules of `rfc1867_post_handler` (main/rfc1867.c), also for what is not
//! well-formed.
//!
//! PHP reads the body through a window of 5 KB, and where the window ends decides how it treats long lines, and the parts of the body
//! that look like a boundary. [`window::Window`] moves the same window over a larger buffer.

pub mod boundary;
pub mod headers;
pub mod names;
mod strings;
pub mod window;
