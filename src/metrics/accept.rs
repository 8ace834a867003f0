//! Which format a client wants, by its `Accept` header (RFC 9110).

use super::Format;

/// The format with the higher weight. If both have the same, or the client names none, it is the text format: what reads OpenMetrics says
/// so.
#[must_use]
pub(crate) fn accepted(accept: &str) -> Format {
    let weight = |is: fn(&str) -> bool| {
        let ranges = accept.split(',').filter(|range| is(range.split(';').next().unwrap_or_default().trim()));
        ranges.filter(|range| !is_other_version(range)).map(quality).max().unwrap_or(0)
    };
    let open = weight(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
    let text = weight(|name| name.eq_ignore_ascii_case("text/plain"));
    if open > text { Format::OpenMetrics } else { Format::Text }
}

/// A version of a format that we don't write. OpenMetrics 0.0.1 is the same text as 1.0.0, under its name before it was a standard.
fn is_other_version(range: &str) -> bool {
    parameter(range, "version").is_some_and(|version| !matches!(version, "1.0.0" | "0.0.1" | "0.0.4"))
}

/// `q=`, in thousandths.
fn quality(range: &str) -> u32 {
    let Some(text) = parameter(range, "q") else { return 1000 };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse()) {
        ("0", Ok(thousandths)) => thousandths,
        ("1", Ok(0)) => 1000,
        _ => 0,
    }
}

fn parameter<'a>(range: &'a str, name: &str) -> Option<&'a str> {
    range.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_gets_what_it_prefers() {
        let of_prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(accepted(of_prometheus), Format::OpenMetrics);
        let older = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(accepted(older), Format::OpenMetrics);
        let text = "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4";
        assert_eq!(accepted(text), Format::Text);
    }

    #[test]
    fn others_get_text() {
        for accept in
            ["", "*/*", "text/html,*/*;q=0.8", "application/openmetrics-text;q=0", "application/openmetrics-text;q=x"]
        {
            assert_eq!(accepted(accept), Format::Text, "{accept}");
        }
        assert_eq!(accepted("application/openmetrics-text;version=2.0.0"), Format::Text);
        assert_eq!(accepted("Application/OpenMetrics-Text"), Format::OpenMetrics);
    }
}
