//! Limits of the texts and lists in the results, so that a reader always gets everything that is written.

use std::collections::VecDeque;

use super::GroupFailure;
use crate::escape;

/// The most bytes of a text. There are two texts.
const LONGEST: usize = 4096;
/// The most bytes of a group's reason.
const LINE: usize = 1000;
/// The most bytes of a group's name.
const NAME: usize = 200;
/// The most bytes of the list of groups that have failed, as JSON.
const LIST: usize = 128 * 1024;

/// The log lines of a reload that may be the reason why it fails: the first ones and the last ones.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    first: Vec<String>,
    last: VecDeque<String>,
    /// How many between them were dropped.
    dropped: usize,
}

impl Reasons {
    const FIRST: usize = 15;
    const LAST: usize = 15;

    pub(super) fn add(&mut self, line: &str) {
        let line = cut(line);
        if self.first.len() < Self::FIRST {
            return self.first.push(line);
        }
        self.last.push_back(line);
        if self.last.len() > Self::LAST {
            self.last.pop_front();
            self.dropped += 1;
        }
    }

    pub(super) fn lines(self) -> Vec<String> {
        let dropped = (self.dropped > 0).then(|| format!("... (the log has {} more lines)", self.dropped));
        self.first.into_iter().chain(dropped).chain(self.last).collect()
    }
}

/// A text as one line without control characters, which JSON would write with six bytes each.
pub(super) fn cut(text: &str) -> String {
    const LIMIT: usize = LINE * 4;
    let start = &text[..text.floor_char_boundary(LIMIT)];
    let lines: Vec<String> = start.trim_end().lines().map(|line| escape::line(line.as_bytes())).collect();
    let line = lines.join(" | ");
    line[..line.floor_char_boundary(LINE)].to_owned()
}

/// A group's name, short enough for the lists.
pub(super) fn name(text: &str) -> String {
    let name = cut(text);
    name[..name.floor_char_boundary(NAME)].to_owned()
}

/// Joins lines into one text. If they don't fit, the last line stays.
pub(super) fn joined(lines: &[String]) -> String {
    const CUT: &str = "... (the log has more)";
    let text = escape::lines(lines.join("\n").as_bytes());
    if text.len() <= LONGEST {
        return text;
    }
    let last = lines.last().filter(|_| lines.len() > 1).map_or_else(String::new, |last| cut(last));
    let first = &text[..text.floor_char_boundary(LONGEST - last.len() - CUT.len() - 2)];
    [first, CUT, &last].join("\n").trim_end().to_owned()
}

/// The list with reasons so short that it fits; if even the names are too many, the first ones.
pub(super) fn fitted(all: &[GroupFailure]) -> Vec<GroupFailure> {
    let size = |list: &[GroupFailure]| serde_json::to_vec(list).map_or(usize::MAX, |text| text.len());
    if size(all) <= LIST {
        return all.to_vec();
    }
    const FIELDS: usize = r#"{"group":"","reason":""},"#.len();
    let share = (LIST / all.len()).max(FIELDS + 40);
    let shortened = |failure: &GroupFailure| {
        // A quote or a backslash takes two bytes as JSON.
        let room = share.saturating_sub(FIELDS + json_size(&failure.group)) / 2;
        let reason = failure.reason[..failure.reason.floor_char_boundary(room)].to_owned();
        GroupFailure { group: failure.group.clone(), reason }
    };
    let mut left = LIST;
    let fits = |failure: &GroupFailure| {
        let size = FIELDS + json_size(&failure.group) + json_size(&failure.reason);
        left = left.saturating_sub(size);
        left > 0
    };
    all.iter().map(shortened).take_while(fits).collect()
}

fn json_size(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}
