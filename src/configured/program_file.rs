//! What the file of a php-cgi tells without being executed.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// In front of the version in the program's text segment.
const VERSION: &[u8] = b"X-Powered-By: PHP/";
/// The entry point that a patched php-cgi looks up in the library.
const PATCHED: &[u8] = b"cgi_fpm_main\0";
/// How much is read at once.
const CHUNK: usize = 1 << 20;
/// A program is not larger; something else that has this name may be.
const LARGEST: u64 = 1 << 30;

/// What is found in a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProgramFile {
    /// `8.4.24`; `None`: it is no PHP.
    pub version: Option<String>,
    /// It has our patch, so it loads the library itself.
    pub patched: bool,
}

impl ProgramFile {
    /// `8.4` of `8.4.24`.
    pub(super) fn minor(&self) -> Option<&str> {
        let version = self.version.as_deref()?;
        Some(version.match_indices('.').nth(1).map_or(version, |(at, _)| version.get(..at).unwrap_or(version)))
    }

    /// Searches the file.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        // O_NONBLOCK: a FIFO is not waited for.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > LARGEST {
            return Err(io::Error::other("this is not a program"));
        }
        Self::search(file.take(LARGEST))
    }

    fn search(mut from: impl Read) -> io::Result<Self> {
        // What may be a part of a text at the end of a chunk is looked at again with the next one.
        const OVERLAP: usize = 64;
        let mut found = Self::default();
        let mut buffer = Vec::with_capacity(CHUNK + OVERLAP);
        loop {
            let read = (&mut from).take(CHUNK as u64).read_to_end(&mut buffer)?;
            found.look(&buffer);
            if read == 0 || (found.version.is_some() && found.patched) {
                return Ok(found);
            }
            buffer.drain(..buffer.len().saturating_sub(OVERLAP));
        }
    }

    fn look(&mut self, bytes: &[u8]) {
        self.patched |= find(bytes, PATCHED).is_some();
        if self.version.is_none()
            && let Some(rest) = find(bytes, VERSION)
            && let Some(end) = rest.iter().position(|byte| !byte.is_ascii_graphic())
            && let Some(Ok(version)) = rest.get(..end).map(std::str::from_utf8)
            && version.starts_with("8.")
        {
            self.version = Some(version.to_owned());
        }
    }
}

/// What follows the text.
fn find<'a>(bytes: &'a [u8], text: &[u8]) -> Option<&'a [u8]> {
    let first = *text.first()?;
    let mut rest = bytes;
    loop {
        rest = rest.get(rest.iter().position(|&byte| byte == first)?..)?;
        if let Some(after) = rest.strip_prefix(text) {
            return Some(after);
        }
        rest = rest.get(1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_patch_are_found_across_chunks() {
        for before in [0, 1, CHUNK - 20, CHUNK - 5, CHUNK, 3 * CHUNK - 17] {
            let mut bytes = vec![b'X'; before];
            bytes.extend(b"X-Powered-By: PHP/8.4.24\0cgi_fpm_main\0c");
            let found = ProgramFile::search(&*bytes).unwrap();
            assert_eq!((found.version.as_deref(), found.minor(), found.patched), (Some("8.4.24"), Some("8.4"), true));
        }
        assert_eq!(
            ProgramFile::search(&b"cgi_fpm_main X-Powered-By: PHP/7.4.1\0"[..]).unwrap(),
            ProgramFile::default()
        );
        assert!(ProgramFile::read(Path::new("/")).is_err());
    }
}
