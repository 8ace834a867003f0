//! The header `traceparent` of W3C Trace Context (<https://www.w3.org/TR/trace-context/>).

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes of a header of version 00: `00-TRACE-SPAN-FLAGS`.
const LENGTH: usize = 55;

/// What a valid header says. An id of zeros is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace that the request belongs to.
    pub trace: TraceId,
    /// The caller's span in this trace: the header's `parent-id`.
    pub span: SpanId,
}

/// The id of a trace: 32 hexadecimal digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub NonZeroU128);

/// The id of a span: 16 hexadecimal digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub NonZeroU64);

impl TraceContext {
    /// Reads a header. `None`: it breaks a rule of the standard, so it is to be ignored.
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (known, rest) = header.split_at_checked(LENGTH)?;
        let [version, trace, span, flags] = fields(known)?;
        let version = number(version)?;
        number(flags)?;
        // A later version may add fields; what is known stays where it is.
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        if !ends {
            return None;
        }
        let span = u64::try_from(number(span)?).ok()?;
        Some(Self { trace: TraceId(NonZeroU128::new(number(trace)?)?), span: SpanId(NonZeroU64::new(span)?) })
    }

    /// From numbers, as `numbers` returns them. `None`: one of them is zero.
    #[must_use]
    pub fn of_numbers((trace, span): (u128, u64)) -> Option<Self> {
        Some(Self { trace: TraceId(NonZeroU128::new(trace)?), span: SpanId(NonZeroU64::new(span)?) })
    }

    /// Both ids as numbers.
    #[must_use]
    pub fn numbers(&self) -> (u128, u64) {
        (self.trace.0.get(), self.span.0.get())
    }
}

/// Version, trace, span and flags, with dashes at their places.
fn fields(known: &[u8]) -> Option<[&[u8]; 4]> {
    let (version, trace, span, flags) =
        (known.get(..2)?, known.get(3..35)?, known.get(36..52)?, known.get(53..LENGTH)?);
    [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-')).then_some([version, trace, span, flags])
}

/// A number of hexadecimal digits in lower case, at most 32.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

impl fmt::Display for TraceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = number(text.as_bytes()).filter(|_| text.len() == 32).and_then(NonZeroU128::new);
        read.map(Self).ok_or_else(|| D::Error::custom("no trace id"))
    }
}

impl<'de> Deserialize<'de> for SpanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = number(text.as_bytes()).filter(|_| text.len() == 16).and_then(|number| u64::try_from(number).ok());
        read.and_then(NonZeroU64::new).map(Self).ok_or_else(|| D::Error::custom("no span id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn shown(header: &[u8]) -> Option<(String, String)> {
        TraceContext::parse(header).map(|context| (context.trace.to_string(), context.span.to_string()))
    }

    #[test]
    fn the_standards_examples() {
        let expected = Some(("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), "00f067aa0ba902b7".to_owned()));
        for flags in ["01", "00", "ff"] {
            assert_eq!(shown(format!("{}{flags}", &VALID[..53]).as_bytes()), expected);
        }
        for later in [
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-ever",
        ] {
            assert_eq!(shown(later.as_bytes()), expected, "{later}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_no_header() {
        for (from, to) in [
            ("00-4", "ff-4"),
            ("00-4", "0-4"),
            ("00-4", "0g-4"),
            ("4bf9", "4BF9"),
            ("-00f0", "_00f0"),
            ("902b7-", "902b7_"),
            ("-01", "-0"),
            ("-01", "-0x"),
            ("-01", "-01-"),
            ("-01", "-01 "),
            ("-01", "-01-extra"),
            ("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            ("00f067aa0ba902b7", "0000000000000000"),
            ("00-4bf9", "cc-4bf9"),
        ] {
            let bad = VALID.replacen(from, to, 1);
            let bad = if from == "00-4bf9" { bad + ".x" } else { bad };
            assert_eq!(shown(bad.as_bytes()), None, "{bad}");
        }
        for bad in
            [&b""[..], b"00", &[b'0'; 8192], &[0xff; 55], b" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"]
        {
            assert_eq!(shown(bad), None);
        }
    }

    #[test]
    fn ids_are_read_from_text_as_they_are_written() {
        let context = TraceContext::parse(VALID.as_bytes()).unwrap();
        let text = serde_json::to_string(&(context.trace, context.span)).unwrap();
        assert_eq!(text, r#"["4bf92f3577b34da6a3ce929d0e0e4736","00f067aa0ba902b7"]"#);
        assert_eq!(serde_json::from_str::<(TraceId, SpanId)>(&text).unwrap(), (context.trace, context.span));
        assert_eq!(TraceContext::of_numbers(context.numbers()), Some(context));
        assert_eq!((TraceContext::of_numbers((0, 1)), TraceContext::of_numbers((1, 0))), (None, None));
        for bad in ["\"\"", "\"0000000000000000\"", "\"00F067AA0BA902B7\"", "\"00f067aa0ba902b7a\""] {
            assert!(serde_json::from_str::<SpanId>(bad).is_err(), "{bad}");
            assert!(serde_json::from_str::<TraceId>(bad).is_err(), "{bad}");
        }
    }
}
