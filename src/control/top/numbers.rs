//! Numbers and texts in few columns.

use crate::escape;

/// A count in four columns: 9999, 10k, 3M.
#[allow(clippy::cast_precision_loss, reason = "rounded to three digits")]
pub(super) fn count(number: u64) -> String {
    scaled(number as f64)
}

/// A rate in four columns.
pub(super) fn rate(number: f64) -> String {
    if number < 9.95 { format!("{:.1}", number.max(0.0)) } else { scaled(number) }
}

fn scaled(number: f64) -> String {
    let mut number = number.max(0.0);
    if number < 9999.5 {
        return format!("{number:.0}");
    }
    for unit in ["k", "M", "G", "T", "P"] {
        number /= 1000.0;
        if number < 999.5 {
            return format!("{number:.0}{unit}");
        }
    }
    "huge".to_owned()
}

/// A time in five columns: 4.2ms, 123ms, 1.23s, 12.3s, 123s.
pub(super) fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    match seconds {
        _ if seconds < 0.009_95 => format!("{:.1}ms", seconds * 1000.0),
        _ if seconds < 0.999_5 => format!("{:.0}ms", seconds * 1000.0),
        _ if seconds < 9.995 => format!("{seconds:.2}s"),
        _ if seconds < 99.95 => format!("{seconds:.1}s"),
        _ => format!("{}s", scaled(seconds)),
    }
}

/// A share in four columns: 0, 0.3%, 12%.
pub(super) fn share(share: f64) -> String {
    match share * 100.0 {
        percent if percent <= 0.0 => "0".to_owned(),
        percent if percent < 9.95 => format!("{percent:.1}%"),
        percent => format!("{:.0}%", percent.min(100.0)),
    }
}

/// A long time in two units: 59s, 12m 3s, 3h 4m, 5d 6h.
pub(super) fn age(seconds: f64) -> String {
    // Whole seconds without a cast.
    let whole: u64 = format!("{:.0}", seconds.clamp(0.0, 1e15).floor()).parse().unwrap_or(0);
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// Columns of a character on a terminal: wide ones are in scripts from Hangul on. No character counts too little.
fn columns_of(c: char) -> usize {
    if c < '\u{1100}' { 1 } else { 2 }
}

/// Columns of a text.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// A text without characters that control a terminal or the direction of text.
pub(super) fn plain(text: &str) -> String {
    let text = escape::without_directions(text);
    escape::line(text.as_bytes()).replace('\t', " ")
}

/// As much of a text as has room, with `~` in place of the rest.
pub(super) fn clip(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let (mut clipped, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += columns_of(c);
        if used + 1 > width {
            break;
        }
        clipped.push(c);
    }
    if width > 0 {
        clipped.push('~');
    }
    clipped
}

/// A text in lines that break between words.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let word = clip(word, width);
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(&word);
            } else if columns(line) + 1 + columns(&word) <= width {
                line.push(' ');
                line.push_str(&word);
            } else {
                lines.push(word);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_short() {
        let counts = [0, 9999, 10_000, 999_499, 1_000_000, u64::MAX].map(count);
        assert_eq!(counts, ["0", "9999", "10k", "999k", "1M", "huge"]);
        assert_eq!([0.0, 8.34, 10.0, 12_345.0].map(rate), ["0.0", "8.3", "10", "12k"]);
        let times = [0.0042, 0.123, 0.9999, 1.234, 12.34, 123.4, 1e6].map(time);
        assert_eq!(times, ["4.2ms", "123ms", "1.00s", "1.23s", "12.3s", "123s", "1Ms"]);
        assert_eq!([0.0, 0.003, 0.126, 7.0].map(share), ["0", "0.3%", "13%", "100%"]);
        assert_eq!([59.9, 723.0, 11_040.0, 453_600.0].map(age), ["59s", "12m 3s", "3h 4m", "5d 6h"]);
    }

    #[test]
    fn texts_keep_their_width() {
        assert_eq!(
            (clip("shop", 4).as_str(), clip("shops", 4).as_str(), clip("日本語", 4).as_str()),
            ("shop", "sho~", "日~")
        );
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(plain("a\u{1b}[2J\tb"), "a\\x1B[2J b");
        assert_eq!(plain("/\u{202e}gnp\u{61c}"), "/\u{fffd}gnp\u{fffd}");
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in "\\PC{0,40}", width in 1_usize..30, number: u64, seconds in 0.0..1e18_f64) {
            prop_assert!(columns(&clip(&text, width)) <= width);
            prop_assert!(wrap(&text, width).iter().all(|line| columns(line) <= width));
            prop_assert!(count(number).len() <= 4 && rate(seconds).len() <= 4 && time(seconds).len() <= 5);
            prop_assert!(share(seconds).len() <= 4);
        }
    }
}
