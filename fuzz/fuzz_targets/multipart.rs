//! Bytes as a multipart form: however the body arrives, its parts are the same, and each byte is seen once. The first byte
//! determines how it arrives, the second how long the boundary is, which follows.
#![no_main]

use cgi_fpm::form::multipart::headers::Headers;
use cgi_fpm::form::multipart::names::{FileName, base, brackets_match, normalize};
use cgi_fpm::form::multipart::window::{Connection, UNIT, Window};
use libfuzzer_sys::fuzz_target;

struct Body<'a> {
    rest: &'a [u8],
    /// It has no more than is waited for, and so many bytes.
    more: Option<usize>,
    file: Vec<u8>,
}

impl Connection for Body<'_> {
    fn read(&mut self, buffer: &mut [u8], least: usize) -> usize {
        assert!(least <= buffer.len());
        let most = self.more.map_or(buffer.len(), |more| buffer.len().min(least + more));
        let (now, later) = self.rest.split_at(self.rest.len().min(most));
        buffer[..now.len()].copy_from_slice(now);
        self.rest = later;
        now.len()
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        self.file.extend_from_slice(bytes);
        true
    }
}

type Part = (Option<(Option<Vec<u8>>, Option<Vec<u8>>)>, Vec<u8>, bool);

fn parts(boundary: &[u8], body: &[u8], more: Option<usize>, memory: usize) -> (Vec<Part>, u64) {
    let mut connection = Body { rest: body, more, file: Vec::new() };
    let mut window = Window::new(boundary, Vec::new(), memory);
    let mut parts = Vec::new();
    while !window.is_over(&mut connection) {
        let Some(headers) = Headers::read(&mut window, &mut connection) else { break };
        let disposition = headers.disposition().map(|found| (found.name, found.file));
        let (mut data, mut ended) = (Vec::new(), false);
        window.begin_file();
        connection.file.clear();
        loop {
            let piece = window.read(&mut connection);
            ended |= piece.ended;
            assert!(piece.length() < UNIT);
            if piece.length() == 0 {
                break;
            }
            data.extend_from_slice(window.bytes(&piece));
            window.keep(&piece);
        }
        assert!(window.flush(&mut connection));
        assert_eq!(connection.file, data);
        parts.push((disposition, data, ended));
    }
    assert!(window.seen() + window.ahead().len() as u64 <= body.len() as u64);
    (parts, window.seen())
}

fuzz_target!(|data: &[u8]| {
    let [way, length, rest @ ..] = data else { return };
    let (boundary, body) = rest.split_at(rest.len().min(usize::from(*length)));
    let boundary: Vec<u8> = boundary.iter().copied().filter(|&byte| byte != 0).collect();
    let first = parts(&boundary, body, None, 256 << 10);
    assert_eq!(first, parts(&boundary, body, Some(usize::from(*way)), 0));
    for (disposition, ..) in first.0 {
        let Some((Some(mut name), file)) = disposition else { continue };
        let _ = brackets_match(&name);
        let _ = FileName::new(&name).field(b"name");
        normalize(&mut name);
        assert!(base(&file.unwrap_or_default()).iter().all(|byte| !b"/\\".contains(byte)));
    }
});
