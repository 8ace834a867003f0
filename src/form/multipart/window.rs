//! The window through which PHP reads the body: `multipart_buffer` and its functions.

use std::ops::Range;

use memchr::memchr;
use memchr::memmem::Finder;

use super::strings::c_part;

/// `FILLUNIT`: the size of the window unless the boundary is longer, and of the pieces that data is read in.
pub const UNIT: usize = 5 * 1024;

/// Where bytes come from and where those of an uploaded file go.
pub trait Connection {
    /// Reads bytes of the body, `least` or more, into `buffer`; fewer only at the end of the body.
    fn read(&mut self, buffer: &mut [u8], least: usize) -> usize;
    /// Writes a piece of the file. False: it failed.
    fn write(&mut self, bytes: &[u8]) -> bool;
}

/// A part of the body, in a buffer that has more of it.
#[derive(Debug)]
pub struct Window {
    buffer: Vec<u8>,
    /// The window, in the buffer.
    window: Range<usize>,
    /// How far the buffer is filled.
    filled: usize,
    /// The largest size of the window.
    size: usize,
    /// The bytes that have ever been in the window: SG(read_post_bytes) in PHP.
    seen: u64,
    /// `--` and the boundary.
    line: Vec<u8>,
    /// A line feed, `--` and the boundary.
    next: Finder<'static>,
    /// The bytes of the file that are not written yet. They end where the window begins.
    unwritten: usize,
    /// A write has failed.
    failed: bool,
}

/// A piece of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it is in the buffer.
    place: Range<usize>,
    /// The boundary after it has been seen.
    pub ended: bool,
}

impl Piece {
    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.place.len()
    }
}

impl Window {
    /// A window over the beginning of a body that has that boundary. `buffer` is memory of any size, of which up to `most` bytes are
    /// used.
    #[must_use]
    pub fn new(boundary: &[u8], mut buffer: Vec<u8>, most: usize) -> Self {
        let size = UNIT.max(boundary.len() + 6);
        let most = most.max(size * 2);
        if buffer.len() < most {
            buffer.resize(most, 0);
        }
        Self {
            buffer,
            window: 0..0,
            filled: 0,
            size,
            seen: 0,
            line: [b"--", boundary].concat(),
            next: Finder::new(&[b"\n--", boundary].concat()).into_owned(),
            unwritten: 0,
            failed: false,
        }
    }

    /// The number of bytes that have been in the window.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The bytes that were read and have not been in the window.
    #[must_use]
    pub fn ahead(&self) -> &[u8] {
        self.buffer.get(self.window.end..self.filled).unwrap_or_default()
    }

    /// The memory.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    fn content(&self) -> &[u8] {
        self.buffer.get(self.window.clone()).unwrap_or_default()
    }

    /// `fill_buffer`: enlarges the window to its full size, as far as the body has bytes. Returns by how many bytes.
    fn fill(&mut self, connection: &mut dyn Connection) -> usize {
        let wanted = self.size.saturating_sub(self.window.len());
        if self.filled - self.window.end < wanted {
            self.receive(wanted, connection);
        }
        let more = wanted.min(self.filled - self.window.end);
        self.window.end += more;
        self.seen += more as u64;
        more
    }

    /// Reads until `wanted` bytes are behind the window.
    fn receive(&mut self, wanted: usize, connection: &mut dyn Connection) {
        if self.window.end + wanted > self.buffer.len() {
            self.flush(connection);
            self.buffer.copy_within(self.window.start..self.filled, 0);
            self.filled -= self.window.start;
            self.window = 0..self.window.len();
        }
        let least = (self.window.end + wanted).saturating_sub(self.filled);
        let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
        self.filled += connection.read(space, least);
    }

    /// Whether the body has ended (`multipart_buffer_eof`).
    pub fn is_over(&mut self, connection: &mut dyn Connection) -> bool {
        self.window.is_empty() && self.fill(connection) < 1
    }

    /// `get_line`: the next line, without its end. It ends at a NUL byte. `None`: the body has no more whole lines.
    pub(super) fn line(&mut self, connection: &mut dyn Connection) -> Option<&[u8]> {
        let place = match self.line_in_window() {
            Some(place) => place,
            None => {
                self.fill(connection);
                self.line_in_window()?
            }
        };
        self.buffer.get(place).map(c_part)
    }

    /// `next_line`
    fn line_in_window(&mut self) -> Option<Range<usize>> {
        let start = self.window.start;
        let content = self.content();
        if let Some(end) = memchr(b'\n', content) {
            let line = content.get(..end).unwrap_or_default();
            let length = line.strip_suffix(b"\r").unwrap_or(line).len();
            self.window.start += end + 1;
            return Some(start..start + length);
        }
        if content.len() < self.size {
            return None;
        }
        // A line that is longer than the window.
        self.window.start = self.window.end;
        Some(start..self.window.end)
    }

    /// `find_boundary`: skips lines up to the boundary. False: it does not come.
    pub(super) fn skip_to_boundary(&mut self, connection: &mut dyn Connection) -> bool {
        let boundary = std::mem::take(&mut self.line);
        let found = loop {
            match self.line(connection) {
                Some(line) if line == c_part(&boundary) => break true,
                Some(_) => {}
                None => break false,
            }
        };
        self.line = boundary;
        found
    }

    /// `multipart_buffer_read`: the next piece of data. It is empty at the boundary, or at the end of the body.
    pub fn read(&mut self, connection: &mut dyn Connection) -> Piece {
        if UNIT > self.window.len() {
            self.fill(connection);
        }
        let content = self.content();
        let whole = self.next.find(content);
        let bound = whole.or_else(|| begun(content, self.next.needle()));
        let mut length = bound.unwrap_or(content.len()).min(UNIT - 1);
        if bound.is_some() && content.get(..length).is_some_and(|data| data.ends_with(b"\r")) {
            length -= 1;
        }
        let place = self.window.start..self.window.start + length;
        self.window.start = place.end;
        Piece { place, ended: whole.is_some() }
    }

    /// The bytes of a piece. It must be the last that was read.
    #[must_use]
    pub fn bytes(&self, piece: &Piece) -> &[u8] {
        self.buffer.get(piece.place.clone()).unwrap_or_default()
    }

    /// Adds the piece that was read last to the file. It is written with those that follow it.
    pub fn keep(&mut self, piece: &Piece) {
        self.unwritten += piece.length();
    }

    /// Writes what was kept. False: that, or an earlier write to the file, has failed.
    pub fn flush(&mut self, connection: &mut dyn Connection) -> bool {
        let end = self.window.start;
        let kept = self.buffer.get(end.saturating_sub(self.unwritten)..end).unwrap_or_default();
        if !kept.is_empty() && !self.failed {
            self.failed = !connection.write(kept);
        }
        self.unwritten = 0;
        !self.failed
    }

    /// Begins a file.
    pub fn begin_file(&mut self) {
        (self.unwritten, self.failed) = (0, false);
    }
}

/// Where `content` ends in the beginning of `needle`.
fn begun(content: &[u8], needle: &[u8]) -> Option<usize> {
    let from = content.len().saturating_sub(needle.len().saturating_sub(1));
    let tail = content.get(from..)?;
    memchr::memchr_iter(*needle.first()?, tail)
        .find(|&at| tail.get(at..).is_some_and(|end| needle.starts_with(end)))
        .map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::{Connection, UNIT, Window, begun};

    struct Body<'a> {
        rest: &'a [u8],
        file: Vec<u8>,
        writes: usize,
    }

    impl Connection for Body<'_> {
        fn read(&mut self, buffer: &mut [u8], _least: usize) -> usize {
            let count = buffer.len().min(self.rest.len());
            let (now, later) = self.rest.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.rest = later;
            count
        }

        fn write(&mut self, bytes: &[u8]) -> bool {
            self.file.extend_from_slice(bytes);
            self.writes += 1;
            true
        }
    }

    #[test]
    fn a_file_is_written_in_large_pieces() {
        let file: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
        let body = [b"--x\r\n\r\n", &file[..], b"\r\n--x--\r\n"].concat();
        let mut connection = Body { rest: &body, file: Vec::new(), writes: 0 };
        let mut window = Window::new(b"x", Vec::new(), 256 << 10);
        assert!(window.skip_to_boundary(&mut connection));
        assert_eq!(window.line(&mut connection), Some(&b""[..]));
        window.begin_file();
        loop {
            let piece = window.read(&mut connection);
            assert!(piece.length() < UNIT);
            if piece.length() == 0 {
                assert!(piece.ended);
                break;
            }
            window.keep(&piece);
        }
        assert!(window.flush(&mut connection));
        assert!(connection.file == file);
        assert!(connection.writes <= 5, "{} writes", connection.writes);
        assert!(!window.skip_to_boundary(&mut connection));
        assert!(window.is_over(&mut connection));
        assert_eq!(window.seen(), body.len() as u64);
    }

    #[test]
    fn the_beginning_of_a_boundary_at_the_end() {
        assert_eq!(begun(b"abc\n--", b"\n--x"), Some(3));
        assert_eq!(begun(b"abc\n-\n", b"\n--x"), Some(5));
        assert_eq!(begun(b"abc\n--y", b"\n--x"), None);
        assert_eq!(begun(b"\n--x", b"\n--x"), None);
        assert_eq!(begun(b"", b"\n--x"), None);
    }
}
