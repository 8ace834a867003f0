//! Name-value pairs (FastCGI 1.0, section 3.4), decoded in place into `name\0value\0`.

/// The parameters of one request.
#[derive(Debug, Default)]
pub struct Params {}

impl Params {
    /// The first value of that name.
    #[must_use]
    pub fn get(&self, _name: &[u8]) -> Option<&[u8]> {
        todo!()
    }

    /// All pairs in order; each name and each value is followed by a NUL byte in memory.
    pub fn iter(&self) -> impl Iterator<Item = (&std::ffi::CStr, &[u8])> {
        std::iter::empty()
    }
}
