//! Lines that the reader of the log has not taken yet. Up to a bound they are kept; further lines are counted and dropped.

use std::collections::VecDeque;
use std::io;

use serde::{Deserialize, Serialize};

use super::Level;

/// A line in its written form, with its newline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// Its syslog priority.
    pub(super) level: Level,
    pub(super) text: Vec<u8>,
}

/// Lines in the order in which they were logged. At a reload the old program image passes them to the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    lines: VecDeque<Line>,
    /// Bytes of the first line that are already written.
    begun: usize,
    /// Bytes of all lines together.
    size: usize,
    lost: u64,
}

/// Bytes that are kept at most.
const MOST: usize = 256 * 1024;

impl Backlog {
    /// Appends a line and writes what can be written. `put` writes a line from a given byte on and returns how many bytes
    /// were taken.
    pub(super) fn offer(&mut self, line: Line, put: impl FnMut(&Line, usize) -> io::Result<usize>) {
        // After the first dropped line all further ones are dropped, too, until the backlog is empty: the log then has one gap
        // and one line that counts it.
        if self.lost > 0 || (!self.lines.is_empty() && self.size + line.text.len() > MOST) {
            self.lost += 1;
        } else {
            self.size += line.text.len();
            self.lines.push_back(line);
        }
        self.flush(put);
    }

    /// Writes as much as the reader takes.
    pub(super) fn flush(&mut self, mut put: impl FnMut(&Line, usize) -> io::Result<usize>) {
        while let Some(line) = self.lines.front() {
            match put(line, self.begun) {
                Ok(count) if count > 0 && self.begun + count < line.text.len() => self.begun += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The line is written, or it cannot be written at all and is dropped.
                _ => self.drop_first(),
            }
        }
    }

    fn drop_first(&mut self) {
        self.begun = 0;
        self.size -= self.lines.pop_front().map_or(0, |line| line.text.len());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The number of dropped lines, once all lines before them are written. Returned once.
    pub(super) fn take_lost(&mut self) -> Option<u64> {
        (self.lines.is_empty() && self.lost > 0).then(|| std::mem::take(&mut self.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line { level: Level::Notice, text: text.into() }
    }

    /// Takes up to `room` bytes.
    fn taker<'a>(room: &'a mut usize, out: &'a mut String) -> impl FnMut(&Line, usize) -> io::Result<usize> + 'a {
        move |line, from| {
            let rest = &line.text[from..];
            let count = rest.len().min(*room);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *room -= count;
            out.push_str(std::str::from_utf8(&rest[..count]).expect("text"));
            Ok(count)
        }
    }

    #[test]
    fn a_line_that_is_taken_in_parts_is_whole_and_nothing_overtakes_it() {
        let (mut backlog, mut out) = (Backlog::default(), String::new());
        backlog.offer(line("first\n"), taker(&mut 3, &mut out));
        backlog.offer(line("second\n"), taker(&mut 0, &mut out));
        assert!(!backlog.is_empty());
        backlog.flush(taker(&mut 5, &mut out));
        assert_eq!(out, "first\nse");
        backlog.flush(taker(&mut 100, &mut out));
        assert_eq!((out.as_str(), backlog.is_empty(), backlog.size), ("first\nsecond\n", true, 0));
    }

    #[test]
    fn what_is_too_much_is_counted_and_told_behind_what_was_kept() {
        let (mut backlog, mut out) = (Backlog::default(), String::new());
        let long = "x".repeat(1023) + "\n";
        for _ in 0..300 {
            backlog.offer(line(&long), taker(&mut 0, &mut out));
        }
        backlog.offer(line("\n"), taker(&mut 0, &mut out));
        assert_eq!((backlog.size, backlog.take_lost()), (MOST, None));
        backlog.flush(taker(&mut (1 << 30), &mut out));
        assert_eq!((out.len(), backlog.take_lost(), backlog.take_lost()), (MOST, Some(300 - 256 + 1), None));
        backlog.offer(line("again\n"), taker(&mut (1 << 30), &mut out));
        assert!(out.ends_with("\nagain\n"));
    }

    #[test]
    fn a_line_that_can_not_be_written_does_not_stop_the_next() {
        let (mut backlog, mut out) = (Backlog::default(), String::new());
        backlog.offer(line("lost\n"), |_, _| Err(io::ErrorKind::StorageFull.into()));
        backlog.offer(line("there\n"), taker(&mut 100, &mut out));
        assert_eq!((out.as_str(), backlog.size), ("there\n", 0));
    }

    #[test]
    fn somebody_else_gets_the_rest() {
        let (mut backlog, mut out) = (Backlog::default(), String::new());
        backlog.offer(line("first\n"), taker(&mut 2, &mut out));
        backlog.offer(line("second\n"), taker(&mut 0, &mut out));
        backlog.lost = 7;
        let unwritten = serde_json::to_vec(&backlog).expect("state");
        let mut backlog: Backlog = serde_json::from_slice(&unwritten).expect("backlog");
        assert_eq!((backlog.lines.len(), backlog.lost), (2, 7));
        backlog.flush(taker(&mut 100, &mut out));
        assert!(backlog.is_empty() && backlog.size == 0);
        assert_eq!((out.as_str(), backlog.take_lost()), ("first\nsecond\n", Some(7)));
    }
}
