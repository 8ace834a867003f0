//! Figures as text. page.js has the same functions; values.json has the cases that both are tested with.

/// Between the groups of digits, and before a unit: a narrow space where no line breaks.
const THIN: char = '\u{202f}';

/// A figure with so many digits after the point. A half is rounded up, as JavaScript's `Math.floor(x + 0.5)` does.
pub(super) fn fixed(number: f64, digits: u32) -> String {
    let scale = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    let all = (number * scale + 0.5).floor();
    let whole = (all / scale).floor();
    let mut text = grouped(&format!("{whole:.0}"));
    if digits > 0 {
        let width = usize::try_from(digits).unwrap_or(0);
        text.push_str(&format!(".{:0>width$}", format!("{:.0}", all - whole * scale)));
    }
    text
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(THIN);
        }
        text.push(digit);
    }
    text
}

/// A count.
#[allow(clippy::cast_precision_loss, reason = "a browser has no better numbers")]
pub(super) fn count(number: u64) -> String {
    fixed(number as f64, 0)
}

/// Something a second.
pub(super) fn rate(number: f64) -> String {
    match number {
        n if n <= 0.0 => "0".to_owned(),
        n if n < 0.05 => "<0.1".to_owned(),
        n => fixed(n, if n < 9.95 { 1 } else { 0 }),
    }
}

/// Processor cores.
pub(super) fn cores(number: f64) -> String {
    fixed(number, if number < 9.995 { 2 } else { 1 })
}

/// A part of a whole.
pub(super) fn share(part: f64) -> String {
    let text = match part {
        n if n <= 0.0 => "0".to_owned(),
        n if n < 0.0005 => "<0.1".to_owned(),
        n => fixed(n * 100.0, if n < 0.0995 { 1 } else { 0 }),
    };
    format!("{text}{THIN}%")
}

/// A size of memory.
#[allow(clippy::cast_precision_loss, reason = "a browser has no better numbers")]
pub(super) fn bytes(number: u64) -> String {
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let (mut number, mut unit, mut digits) = (number as f64, units.next(), 0);
    while number >= 1024.0 {
        let Some(next) = units.next() else { break };
        (number, unit, digits) = (number / 1024.0, Some(next), 1);
    }
    format!("{}{THIN}{}", fixed(number, if number < 9.95 { digits } else { 0 }), unit.unwrap_or_default())
}

/// A time in its two largest units.
pub(super) fn span(seconds: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")];
    let all = (seconds.max(0.0) + 0.5).floor();
    let mut units = UNITS.into_iter().skip_while(|(size, _)| all < *size);
    let Some((size, name)) = units.next() else { return format!("0{THIN}s") };
    let text = format!("{}{THIN}{name}", fixed((all / size).floor(), 0));
    match units.next().map(|(next, name)| ((all % size / next).floor(), name)) {
        Some((rest, name)) if rest > 0.0 => format!("{text} {rest:.0}{THIN}{name}"),
        _ => text,
    }
}

/// A time that was measured.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995 => format!("{}{THIN}ms", fixed(s * 1000.0, if s < 0.00995 { 1 } else { 0 })),
        s if s < 59.95 => format!("{}{THIN}s", fixed(s, 1)),
        s => span(s),
    }
}

/// A moment since 1970, in UTC.
#[allow(clippy::cast_possible_truncation, reason = "a cast of a fraction saturates")]
pub(super) fn iso(at: f64) -> String {
    let moment = time::OffsetDateTime::from_unix_timestamp(at.floor() as i64);
    let moment = moment.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (moment.year(), u8::from(moment.month()), moment.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", moment.hour(), moment.minute(), moment.second())
}

/// The time of day of a moment, in UTC.
pub(super) fn clock(at: f64) -> String {
    iso(at).get(11..19).unwrap_or_default().to_owned()
}

/// How many values a sparkline shows.
const POINTS: usize = 60;

/// A sparkline of 100 by 24: the path of its line. The newest value is at the right edge.
pub(super) fn line(history: &[f64]) -> String {
    let points = history.get(history.len().saturating_sub(POINTS)..).unwrap_or_default();
    if points.len() < 2 {
        return String::new();
    }
    let highest = history.iter().copied().fold(0.000_001, f64::max);
    let at = |(index, value): (usize, &f64)| {
        format!("{} {}", place(points.len() - 1 - index), fixed(23.0 - 22.0 * value / highest, 1))
    };
    format!("M{}", points.iter().enumerate().map(at).collect::<Vec<_>>().join("L"))
}

/// The path of the area below it.
pub(super) fn area(history: &[f64]) -> String {
    match history.len().min(POINTS) {
        0 | 1 => String::new(),
        points => format!("{}L100.0 24L{} 24Z", line(history), place(points - 1)),
    }
}

/// Where a value is that so many newer ones follow.
#[allow(clippy::cast_precision_loss, reason = "at most 60")]
fn place(newer: usize) -> String {
    fixed(100.0 - newer as f64 * 100.0 / 59.0, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// page.js gives the same for these: process::monitor::page.
    #[test]
    fn figures_are_what_the_table_says() {
        let cases: Vec<(String, serde_json::Value, String)> =
            serde_json::from_str(include_str!("values.json")).unwrap();
        for (function, input, wanted) in cases {
            let number = || input.as_f64().unwrap();
            let numbers = || serde_json::from_value::<Vec<f64>>(input.clone()).unwrap();
            let text = match function.as_str() {
                "count" => count(input.as_u64().unwrap()),
                "bytes" => bytes(input.as_u64().unwrap()),
                "rate" => rate(number()),
                "cores" => cores(number()),
                "share" => share(number()),
                "span" => span(number()),
                "time" => time(number()),
                "iso" => iso(number()),
                "clock" => clock(number()),
                "line" => line(&numbers()),
                "area" => area(&numbers()),
                other => panic!("{other}"),
            };
            assert_eq!(text.replace(THIN, "_"), wanted, "{function} {input}");
        }
    }
}
