//! Answers of HTTP/1.1 with a known length or in chunks (RFC 9112), on a connection that stays.

use testkit::{Outcome, ensure};

/// One answer.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    arrived: Vec<u8>,
    body: Vec<u8>,
}

impl Reader {
    pub(crate) fn content(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.arrived.clear();
        self.body.clear();
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) -> Outcome<bool> {
        self.arrived.extend_from_slice(bytes);
        let Some(end) = find(&self.arrived, b"\r\n\r\n") else { return Ok(false) };
        let head = String::from_utf8_lossy(&self.arrived[..end]).to_ascii_lowercase();
        ensure!(head.starts_with("http/1.1 200"), "{}", head.lines().next().unwrap_or_default());
        let rest = &self.arrived[end + 4..];
        self.body.clear();
        if let Some(length) = header(&head, "content-length").and_then(|value| value.parse::<usize>().ok()) {
            ensure!(rest.len() <= length, "{} bytes after the end of the answer", rest.len() - length);
            self.body.extend_from_slice(rest);
            return Ok(rest.len() == length);
        }
        ensure!(header(&head, "transfer-encoding") == Some("chunked"), "an answer without a length");
        chunks(rest, &mut self.body)
    }
}

/// Appends the chunks' content; true: the last one is complete.
fn chunks(mut rest: &[u8], body: &mut Vec<u8>) -> Outcome<bool> {
    while let Some(end) = find(rest, b"\r\n") {
        let line = std::str::from_utf8(&rest[..end])?;
        let size = usize::from_str_radix(line, 16).map_err(|_| format!("no size of a chunk: {line:?}"))?;
        let Some(chunk) = rest.get(end + 2..end + 2 + size + 2) else { return Ok(false) };
        ensure!(chunk.ends_with(b"\r\n"), "no end of a chunk");
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[end + 2 + size + 2..];
        if size == 0 {
            ensure!(rest.is_empty(), "{} bytes after the end of the answer", rest.len());
            return Ok(true);
        }
    }
    Ok(false)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn reads_answers_in_pieces_of_any_size() -> Outcome {
        for answer in [CHUNKED, WHOLE] {
            for size in 1..answer.len() + 1 {
                let mut reader = Reader::default();
                let ends: Vec<bool> = answer.chunks(size).map(|piece| reader.take(piece)).collect::<Outcome<_>>()?;
                assert_eq!(ends.iter().filter(|ended| **ended).count(), 1, "pieces of {size}");
                assert_eq!(reader.content(), b"hello");
            }
        }
        Ok(())
    }

    #[test]
    fn refuses_failures() {
        assert!(Reader::default().take(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(Reader::default().take(b"HTTP/1.1 200 OK\r\n\r\nhello").is_err());
        assert!(Reader::default().take(&[WHOLE, WHOLE].concat()).is_err());
    }
}
