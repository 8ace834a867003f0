//! Bodies of forms, taken apart as PHP does it. No I/O and no PHP: `src/php/form` makes PHP's values of the result.
#![forbid(unsafe_code)]

pub mod multipart;
pub mod urlencoded;

#[cfg(any(test, feature = "differential"))]
pub mod generator;
