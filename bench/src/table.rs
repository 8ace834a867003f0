//! Tables in Markdown, aligned so that a terminal shows them as well.

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these names of the columns. The first column is text, the others are numbers.
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().map(|&name| name.to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether it has no rows yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |at: usize| self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0).max(3)).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            text.push_str(&line(row, &widths));
            if number == 0 {
                let rule = widths.iter().enumerate().map(|(at, width)| match at {
                    0 => format!("|{}", "-".repeat(width + 2)),
                    _ => format!("|{}:", "-".repeat(width + 1)),
                });
                text.push_str(&format!("{}|\n", rule.collect::<String>()));
            }
        }
        text
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at {
        0 => format!("| {cell:<width$} "),
        _ => format!("| {cell:>width$} "),
    });
    format!("{}|\n", cells.collect::<String>())
}

/// A number with three digits that matter.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        value if value.is_nan() => "-".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["case", "µs"]);
        table.row(vec!["hello".to_owned(), short(12.345)]);
        assert_eq!(table.text(), "| case  |   µs |\n|-------|-----:|\n| hello | 12.3 |\n");
        assert_eq!([short(0.5), short(1234.5), short(f64::NAN)], ["0.50", "1234", "-"]);
    }
}
