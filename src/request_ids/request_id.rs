//! The id of a request: a short text of harmless characters.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The longest id, in bytes.
pub const LONGEST: usize = 128;

/// Characters beside letters and digits. None of them has a meaning in a line of a log, in JSON, in HTML or in a shell's double
/// quotes. With them, UUIDs, base64, and ids of load balancers (`Root=1-67891233-abcdef012345678912345678`) are accepted.
const OTHERS: &[u8] = b"-._~+/=:;@";

/// A valid id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    bytes: [u8; LONGEST],
    length: u8,
}

impl RequestId {
    /// An id that was sent. `None`: it is empty, too long, or contains a character that is not allowed.
    #[must_use]
    pub fn accept(sent: &[u8]) -> Option<Self> {
        let length = u8::try_from(sent.len()).ok().filter(|_| (1..=LONGEST).contains(&sent.len()))?;
        if !sent.iter().all(|byte| byte.is_ascii_alphanumeric() || OTHERS.contains(byte)) {
            return None;
        }
        let mut bytes = [0; LONGEST];
        bytes[..sent.len()].copy_from_slice(sent);
        Some(Self { bytes, length })
    }

    /// An id of 32 hexadecimal digits, as nginx makes it.
    #[must_use]
    pub fn of_number(number: u128) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; LONGEST];
        for (at, digit) in bytes.iter_mut().take(32).enumerate() {
            *digit = DIGITS[(number >> (124 - 4 * at) & 15) as usize];
        }
        Self { bytes, length: 32 }
    }

    /// Its characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Its characters as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::accept(text.as_bytes()).ok_or_else(|| D::Error::custom("no request id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_web_servers_and_load_balancers_are_accepted() {
        let longest = "x".repeat(LONGEST);
        for id in [
            "444535f9378a3dfa1b8604bc9e05a303",
            "6f1c2b0e-8d1d-4f2b-9d27-6f7a3b0e1c55",
            "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1",
            "a+b/c==",
            "8f3c1d2e9a7b4c5d-FRA",
            "a",
            &longest,
        ] {
            assert_eq!(RequestId::accept(id.as_bytes()).unwrap().as_str(), id);
        }
    }

    #[test]
    fn anything_that_could_act_in_a_log_is_not() {
        let long = [b'x'; LONGEST + 1];
        let huge = [b'x'; 8192];
        for bad in [
            &b""[..],
            b" ",
            b"a b",
            b"a\nb",
            b"a\0",
            b"\x1b[31m",
            b"a\"b",
            b"a'b",
            b"a\\b",
            b"a]b",
            b"[a",
            b"{a}",
            b"<a>",
            b"a&b",
            b"a,b",
            b"a%b",
            b"$a",
            b"`a`",
            b"a|b",
            b"a#b",
            b"a\x7f",
            b"\xc3\xa4",
            b"\xff",
            &long,
            &huge,
        ] {
            assert_eq!(RequestId::accept(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_number_has_32_digits() {
        assert_eq!(RequestId::of_number(0x12ab).as_str(), "000000000000000000000000000012ab");
        assert_eq!(RequestId::of_number(u128::MAX).as_str(), "f".repeat(32));
        let id = RequestId::of_number(7);
        assert_eq!(RequestId::accept(id.as_bytes()), Some(id));
    }

    #[test]
    fn text_of_others_is_checked() {
        let id = RequestId::of_number(7);
        assert_eq!(serde_json::from_str::<RequestId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        assert!(serde_json::from_str::<RequestId>("\"a\\nb\"").is_err());
    }
}
