//! Writes families of metrics and their samples.

use std::fmt::{Display, Write as _};

use super::Format;

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A counter whose name ends in `_total`, as OpenMetrics demands it.
    Counter,
    /// A counter whose name has no such end, which other exporters have made known. Checkers of both formats refuse it as a counter.
    FormerCounter,
    /// A value that may fall.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// Facts in labels, of which the value is 1.
    Info,
}

/// Name and value of a label.
pub(crate) type Label<'a> = (&'a str, &'a str);

/// A text that grows.
#[derive(Debug)]
pub(crate) struct Exposition {
    format: Format,
    out: String,
    family: String,
}

impl Exposition {
    /// Without a family.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, out: String::with_capacity(16 * 1024), family: String::new() }
    }

    /// Begins a family. `name` is that of its samples, for a histogram without `_bucket` and the like.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let open = self.format == Format::OpenMetrics;
        let (suffix, word) = match kind {
            Kind::Counter => ("_total", "counter"),
            Kind::FormerCounter => ("", if open { "unknown" } else { "untyped" }),
            Kind::Gauge => ("", "gauge"),
            Kind::Histogram => ("", "histogram"),
            Kind::Info => ("_info", if open { "info" } else { "gauge" }),
        };
        let family = if open { name.strip_suffix(suffix).unwrap_or(name) } else { name };
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        let _ = writeln!(self.out, "# HELP {family} {help}\n# TYPE {family} {word}");
        self.family = name.to_owned();
    }

    /// Adds a sample to the family.
    pub(crate) fn sample(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.line("", labels, value);
    }

    /// Adds a bucket, which has all times up to `bound`.
    pub(crate) fn bucket(&mut self, labels: &[Label<'_>], bound: Option<f64>, count: u64) {
        let bound = bound.map_or_else(|| "+Inf".to_owned(), number);
        let labels: Vec<Label<'_>> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
        self.line("_bucket", &labels, count);
    }

    /// Adds the sum and the number of the times in all buckets.
    pub(crate) fn end_buckets(&mut self, labels: &[Label<'_>], sum: f64, count: u64) {
        self.line("_sum", labels, number(sum));
        self.line("_count", labels, count);
    }

    /// The text.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn line(&mut self, suffix: &str, labels: &[Label<'_>], value: impl Display) {
        self.out.push_str(&self.family);
        self.out.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            self.out.push(if at == 0 { '{' } else { ',' });
            self.out.push_str(name);
            self.out.push_str("=\"");
            value.chars().for_each(|letter| match letter {
                '\\' => self.out.push_str(r"\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str(r"\n"),
                letter if letter.is_control() => self.out.push(char::REPLACEMENT_CHARACTER),
                letter => self.out.push(letter),
            });
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}

/// A number as OpenMetrics wants it in labels: with a point.
pub(super) fn number(value: f64) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.family("a_total", Kind::Counter, "Counts \\ \n things.");
        out.sample(&[("pool", "w\"w\\w\nw\x1b")], 7);
        out.family("b", Kind::FormerCounter, "Former.");
        out.sample(&[], 1);
        out.family("c_seconds", Kind::Histogram, "Times.");
        out.bucket(&[("pool", "x")], Some(0.5), 1);
        out.bucket(&[("pool", "x")], None, 2);
        out.end_buckets(&[("pool", "x")], 3.0, 2);
        out.family("d_info", Kind::Info, "Facts.");
        out.sample(&[("version", "1")], 1);
        out.finish()
    }

    #[test]
    fn both_formats_have_the_same_samples() {
        let samples = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        let (plain, open) = (text(Format::Text), text(Format::OpenMetrics));
        assert_eq!(samples(&plain), samples(&open));
        assert_eq!(
            samples(&plain),
            [
                "a_total{pool=\"w\\\"w\\\\w\\nw\u{fffd}\"} 7",
                "b 1",
                "c_seconds_bucket{pool=\"x\",le=\"0.5\"} 1",
                "c_seconds_bucket{pool=\"x\",le=\"+Inf\"} 2",
                "c_seconds_sum{pool=\"x\"} 3.0",
                "c_seconds_count{pool=\"x\"} 2",
                "d_info{version=\"1\"} 1",
            ]
        );
    }

    #[test]
    fn openmetrics_names_families_without_their_ends() {
        let open = text(Format::OpenMetrics);
        assert!(open.starts_with("# HELP a Counts \\\\ \\n things.\n# TYPE a counter\n"), "{open}");
        assert!(open.contains("# TYPE b unknown\n") && open.contains("# TYPE d info\n"), "{open}");
        assert!(open.ends_with("# EOF\n"));
        let plain = text(Format::Text);
        assert!(plain.contains("# TYPE a_total counter\n") && plain.contains("# TYPE b untyped\n"), "{plain}");
        assert!(plain.contains("# TYPE d_info gauge\n") && !plain.contains("# EOF"), "{plain}");
    }
}
