//! A table that uses the width of the terminal: columns grow if there is room, and go if there is none.

use super::numbers::{clip, columns};
use crate::overview::Severity;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Heading,
    Warning,
    Critical,
}

impl From<Severity> for Look {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Ok => Self::Plain,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

/// A line, no wider than the terminal.
pub(super) type Line = (String, Look);

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Its width, and to what it may grow.
    pub(super) width: usize,
    pub(super) most: usize,
    /// On the left side; numbers are on the right.
    pub(super) is_text: bool,
    /// The column with the highest number goes first; one with 0 stays.
    pub(super) goes: u8,
}

/// What is in a row of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Text(String),
    /// `#` for busy workers, `-` for idle ones, `.` for those that there could be.
    Bar {
        used: u64,
        idle: u64,
        limit: u64,
    },
}

/// A table.
pub(super) struct Table<'a> {
    pub(super) columns: &'a [Column],
    pub(super) rows: Vec<(Vec<Cell>, Look)>,
}

impl Table<'_> {
    /// Its lines, with a heading.
    pub(super) fn lines(&self, width: usize) -> Vec<Line> {
        let widths = self.widths(width);
        let heading = self.columns.iter().map(|column| Cell::Text(column.title.to_owned())).collect();
        let rows =
            std::iter::once((&heading, Look::Heading)).chain(self.rows.iter().map(|(cells, look)| (cells, *look)));
        rows.map(|(cells, look)| (clip(&self.line(cells, &widths), width), look)).collect()
    }

    /// The width of each column; `None`: it has no room.
    fn widths(&self, width: usize) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> = self.columns.iter().map(|column| Some(column.width)).collect();
        let used =
            |widths: &[Option<usize>]| widths.iter().flatten().map(|width| width + 1).sum::<usize>().saturating_sub(1);
        let mut leaving: Vec<usize> = (0..self.columns.len()).filter(|at| self.columns[*at].goes > 0).collect();
        leaving.sort_by_key(|at| self.columns[*at].goes);
        while used(&widths) > width {
            let Some(at) = leaving.pop() else { break };
            widths[at] = None;
        }
        for (at, column) in self.columns.iter().enumerate() {
            let room = width.saturating_sub(used(&widths));
            if let Some(own) = widths[at].as_mut() {
                *own = (*own + room).min(self.longest(at)).max(*own).min(column.most.max(column.width));
            }
        }
        widths
    }

    /// The columns that the longest text of a column needs.
    fn longest(&self, at: usize) -> usize {
        let cells = self.rows.iter().filter_map(|(cells, _)| cells.get(at));
        let needed = cells.map(|cell| match cell {
            Cell::Text(text) => columns(text),
            Cell::Bar { limit, .. } => usize::try_from(*limit).unwrap_or(usize::MAX),
        });
        needed.max().unwrap_or(0)
    }

    fn line(&self, cells: &[Cell], widths: &[Option<usize>]) -> String {
        let mut line = String::new();
        for ((column, cell), width) in self.columns.iter().zip(cells).zip(widths) {
            let Some(width) = *width else { continue };
            let text = match cell {
                Cell::Text(text) => clip(text, width),
                Cell::Bar { used, idle, limit } => bar((*used, *idle, *limit), width),
            };
            let blanks = " ".repeat(width.saturating_sub(columns(&text)));
            let parts = if column.is_text { [&text, &blanks] } else { [&blanks, &text] };
            if !line.is_empty() {
                line.push(' ');
            }
            parts.iter().for_each(|part| line.push_str(part));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// A part of the bar that is in use has one character at least.
fn bar((used, idle, limit): (u64, u64, u64), width: usize) -> String {
    let limit = limit.max(1);
    let width = usize::try_from(limit).map_or(width, |limit| limit.min(width));
    let part = |workers: u64| {
        let scaled = u128::from(workers.min(limit)) * u128::try_from(width).unwrap_or(0);
        usize::try_from(scaled.div_ceil(u128::from(limit))).unwrap_or(width)
    };
    let used = part(used);
    let idle = part(idle).min(width.saturating_sub(used));
    format!("{}{}{}", "#".repeat(used), "-".repeat(idle), ".".repeat(width.saturating_sub(used + idle)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_who_works() {
        assert_eq!(bar((4, 3, 8), 8), "####---.");
        assert_eq!(bar((1, 0, 1000), 8), "#.......", "one that works is seen");
        assert_eq!((bar((9, 9, 3), 8), bar((0, 0, 0), 8)), ("###".to_owned(), ".".to_owned()));
        assert_eq!(bar((u64::MAX, 1, u64::MAX), 4), "####");
    }
}
