//! The user that HTTP's authorization names, for pages that are answered without PHP.
#![forbid(unsafe_code)]

/// The user of a `Basic` authorization, read as PHP reads it: characters that aren't base64 are skipped, and without
/// a colon there is no user.
pub(super) fn basic_user(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, coded) = value.split_at_checked(6)?;
    let mut text = Some(decoded(coded)).filter(|_| scheme.eq_ignore_ascii_case(b"Basic "))?;
    let end = text.iter().position(|byte| matches!(byte, b':' | 0)).filter(|end| text.get(*end) == Some(&b':'))?;
    text.truncate(end);
    Some(text)
}

fn decoded(coded: &[u8]) -> Vec<u8> {
    let (mut bits, mut count) = (0u32, 0u32);
    let byte = |six: u8| {
        (bits, count) = (bits << 6 | u32::from(six), count + 6);
        (count >= 8).then(|| {
            count -= 8;
            (bits >> count).to_le_bytes()[0]
        })
    };
    coded.iter().filter_map(|byte| six_bits(*byte)).filter_map(byte).collect()
}

fn six_bits(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_it_names() {
        let user = |value: &str| basic_user(value.as_bytes()).map(|user| String::from_utf8_lossy(&user).into_owned());
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(user("Basic dXNlcjpwYXNz"), named("user"));
        assert_eq!(user("bAsIc dXNl\n cjpw*YXNz"), named("user"));
        assert_eq!(user("Basic YTpiOmM="), named("a"));
        assert_eq!(user("Basic OnBhc3M="), named(""));
        assert_eq!(user("Basic YQBiOmM="), None, "a NUL comes before the colon");
        for none in ["", "Basic", "Basic ", "Basic dXNlcg==", "Basic:dXNlcjpwYXNz", "Digest username=\"user:\""] {
            assert_eq!(user(none), None, "{none}");
        }
    }
}
