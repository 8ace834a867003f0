//! Is `access.format` one that the access log can be written in? The complaints are php-fpm's.

/// Longest text between braces that is looked at, in bytes.
const MAX_MODIFIER: usize = 128;

/// Checks the whole format.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(format: &str) -> Result<(), String> {
    let mut rest = format.as_bytes();
    while let Some(percent) = rest.iter().position(|byte| *byte == b'%') {
        rest = &rest[percent + 1..];
        let mut modifier: &[u8] = b"";
        while let [b'{', after @ ..] = rest {
            (modifier, rest) = braces(after)?;
        }
        let Some((&token, after)) = rest.split_first() else { break };
        rest = after;
        placeholder(char::from(token), &String::from_utf8_lossy(modifier))?;
    }
    Ok(())
}

/// The text up to `}` and what follows, of which there must be something.
fn braces(rest: &[u8]) -> Result<(&[u8], &[u8]), String> {
    match rest.iter().position(|byte| *byte == b'}') {
        Some(end) if end + 1 < rest.len() => Ok((&rest[..end.min(MAX_MODIFIER)], &rest[end + 1..])),
        _ => Err("missing closing embrace in the access.format".to_owned()),
    }
}

fn placeholder(token: char, modifier: &str) -> Result<(), String> {
    let one_of = |names: &[&str], allowed: &str| {
        if modifier.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case(modifier)) {
            return Ok(());
        }
        Err(format!("only {allowed} are allowed as a modifier for %{token} ('{modifier}')"))
    };
    match token {
        'C' => one_of(&["total", "user", "system"], "'total', 'user' or 'system'"),
        'd' => one_of(
            &["seconds", "milliseconds", "milli", "miliseconds", "mili", "microseconds", "micro"],
            "'seconds', 'milli', 'milliseconds', 'micro' or 'microseconds'",
        ),
        'M' => one_of(
            &["bytes", "kilobytes", "kilo", "megabytes", "mega"],
            "'bytes', 'kilo', 'kilobytes', 'mega' or 'megabytes'",
        ),
        'e' if modifier.is_empty() => {
            Err("the name of the environment variable must be set between embraces for %e".to_owned())
        }
        'o' if modifier.is_empty() => Err("the name of the header must be set between embraces for %o".to_owned()),
        'e' | 'o' | 't' | 'T' => Ok(()),
        '%' | 'f' | 'l' | 'm' | 'n' | 'p' | 'P' | 'q' | 'Q' | 'r' | 'R' | 's' | 'u' if modifier.is_empty() => Ok(()),
        '%' | 'f' | 'l' | 'm' | 'n' | 'p' | 'P' | 'q' | 'Q' | 'r' | 'R' | 's' | 'u' => {
            Err(format!("embrace is not allowed for modifier %{token}"))
        }
        _ => Err(format!("Invalid token in the access.format (%{token})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_php_fpm_takes() {
        let usual = r#"%R - %u %t "%m %r%Q%q" %s %f %{mili}d %{kilo}M %C%%"#;
        for good in [usual, "", "plain", "%", "%{}d", "%{a}{micro}d", "%{x}e%{x}o%{%Y}t%{%Y}T", "%{SECONDS}d%{User}C"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_it_refuses() {
        let refusal = |format| check(format).unwrap_err();
        assert_eq!(refusal("%x"), "Invalid token in the access.format (%x)");
        assert_eq!(refusal("%{x}"), "missing closing embrace in the access.format");
        assert_eq!(refusal("%{x"), "missing closing embrace in the access.format");
        assert_eq!(refusal("%{x}f"), "embrace is not allowed for modifier %f");
        assert_eq!(refusal("%e"), "the name of the environment variable must be set between embraces for %e");
        assert_eq!(refusal("%o"), "the name of the header must be set between embraces for %o");
        assert_eq!(refusal("%{x}C"), "only 'total', 'user' or 'system' are allowed as a modifier for %C ('x')");
    }

    proptest::proptest! {
        #[test]
        fn no_format_makes_it_panic(format in "[%{}a-zA-Z]{0,20}|.*") {
            let _ = check(&format);
        }
    }
}
