//! Formats that are accepted and refused.

use super::format::*;

#[test]
fn what_php_fpm_takes() {
    let usual = r#"%R - %u %t "%m %r%Q%q" %s %f %{mili}d %{kilo}M %C%%"#;
    for good in [usual, "", "plain", "%", "%{}d", "%{a}{micro}d", "%{x}e%{x}o%{%Y}t%{%Y}T", "%{SECONDS}d%{User}C"] {
        assert!(Format::compile(good).is_ok(), "{good}");
    }
}

#[test]
fn what_it_refuses() {
    let refusal = |format| Format::compile(format).unwrap_err().to_string();
    assert_eq!(refusal("%x"), "Invalid token in the access.format (%x)");
    assert_eq!(refusal("%{x}"), "missing closing embrace in the access.format");
    assert_eq!(refusal("%{x"), "missing closing embrace in the access.format");
    assert_eq!(refusal("%{x}f"), "embrace is not allowed for modifier %f");
    assert_eq!(refusal("%{x}%"), "embrace is not allowed for modifier %%");
    assert_eq!(refusal("%e"), "the name of the environment variable must be set between embraces for %e");
    assert_eq!(refusal("%o"), "the name of the header must be set between embraces for %o");
    assert_eq!(
        refusal("%{X-Request-ID}i"),
        "only 'request', 'trace' or 'span' are allowed as a modifier for %i ('X-Request-ID')"
    );
    assert_eq!(refusal("%{x}C"), "only 'total', 'user' or 'system' are allowed as a modifier for %C ('x')");
}

#[test]
fn json_takes_variables_and_headers() {
    let read = |text| Format::compile(text).map(|format| (format.parts, format.json)).unwrap();
    assert_eq!(read("json"), (vec![], true));
    let parts = vec![Part::Variable(b"HTTP_HOST".to_vec()), Part::Header(b"X-Id".to_vec())];
    assert_eq!(read("json %{HTTP_HOST}e  %{X-Id}o "), (parts, true));
    for wrong in ["json %m", "json x", "json %{a}e,%{b}e"] {
        let refusal = Format::compile(wrong).unwrap_err().to_string();
        assert_eq!(refusal, "only %{NAME}e and %{NAME}o may follow json in the access.format", "{wrong}");
    }
    assert!(!Format::compile("jsonish %m").unwrap().json);
}

#[test]
fn text_that_follows_text_is_one_part() {
    let parts = |format| Format::compile(format).unwrap().parts;
    assert_eq!(parts("100%% of%"), [Part::Literal(b"100% of".to_vec())]);
    assert_eq!(parts("%{a}{MICRO}d"), [Part::Duration(Unit::Microseconds)]);
    assert_eq!(parts("%C%d%M"), [Part::Cpu(Cpu::Total), Part::Duration(Unit::Seconds), Part::Memory(1)]);
}
