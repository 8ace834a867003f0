//! Lines as php-fpm reads them; most of the expectations were seen in stock php-fpm's `-tt`.

use proptest::prelude::*;

use super::{Names, Statement, core_constant, parse_line};

struct Known;

impl Names for Known {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        (name == "HOME").then(|| b"/root".to_vec())
    }

    fn constant(&self, name: &str) -> Option<String> {
        core_constant(name).map(str::to_owned)
    }
}

fn read(line: &str) -> (Vec<Statement>, Option<String>) {
    let read = parse_line(format!("{line}\n").as_bytes(), &Known);
    (read.statements, read.error.map(|error| error.to_string()))
}

/// The value of `a = …`, which must be all that the line says.
fn value(text: &str) -> String {
    match read(&format!("a = {text}")) {
        (statements, None) => match statements.as_slice() {
            [Statement::Entry { value: Some(value), .. }] => String::from_utf8(value.clone()).unwrap(),
            other => panic!("{text}: {other:?}"),
        },
        (_, Some(error)) => panic!("{text}: {error}"),
    }
}

fn error(line: &str) -> String {
    read(line).1.expect("an error")
}

#[test]
fn words_for_yes_and_no_become_one_and_nothing() {
    for yes in ["yes", "On", "TRUE", "yes  ", "true ; comment"] {
        assert_eq!(value(yes), "1", "{yes}");
    }
    for no in ["no", "Off", "false", "NONE", "null", "", "; comment"] {
        assert_eq!(value(no), "", "{no}");
    }
    assert_eq!(value("yess"), "yess");
    assert_eq!(value("'yes'"), "yes");
}

#[test]
fn pieces_are_joined_and_blanks_outside_of_quotes_are_kept_inside() {
    assert_eq!(value("a b  c   ; d"), "a b  c");
    assert_eq!(value("'x y' \"q\" z"), "x yqz");
    assert_eq!(value("\"a;b\""), "a;b");
    assert_eq!(value("a,b.c:d/e*f+g-h@i<j>k?l%m#n`o[p]{q}"), "a,b.c:d/e*f+g-h@i<j>k?l%m#n`o[p]{q}");
}

#[test]
fn backslashes_escape_only_quote_backslash_and_dollar() {
    assert_eq!(value(r#""x\"y\\z\$w\n""#), r#"x"y\z$w\n"#);
    assert_eq!(value(r#""C:\path\""#), r"C:\path\");
    assert_eq!(value(r"a\b"), r"a\b");
}

#[test]
fn variables_are_replaced_with_a_fallback_for_those_that_are_not_set() {
    assert_eq!(value("${HOME}/x"), "/root/x");
    assert_eq!(value("\"in ${HOME}\""), "in /root");
    assert_eq!(value("'${HOME}'"), "${HOME}");
    assert_eq!(value("x${NONE}y"), "xy");
    assert_eq!(value("${NONE:-some thing}"), "some thing");
    assert_eq!(value("${NONE:-${HOME}}"), "/root");
    assert_eq!(value("${HOME:-x}"), "/root");
    assert_eq!(value("${N:-x}"), "x");
}

#[test]
fn a_dollar_takes_the_next_byte_whatever_it_is() {
    assert_eq!(value("$x;y"), "$x");
    assert_eq!(value("$;y"), "$;y");
    assert_eq!(value("foo$"), "foo$\n");
    assert_eq!(value(r"$\;y"), r"$\;y");
}

#[test]
fn operators_work_on_integers_from_the_left() {
    assert_eq!(value("E_ALL & ~E_NOTICE"), "32759");
    assert_eq!(value("1 | 2 & 4"), "0");
    assert_eq!(value("1 | (2 & 6)"), "3");
    assert_eq!(value("!0 | 4"), "5");
    assert_eq!(value("~1"), "-2");
    assert_eq!(value("abc ^ 3"), "3");
}

#[test]
fn constants_are_replaced_in_values_but_not_in_keys() {
    assert_eq!(value("E_ALL"), "32767");
    assert_eq!(value("\"E_ALL\""), "E_ALL");
    assert_eq!(value("e_all"), "e_all");
    assert_eq!(value("E_ALL x"), "32767 x");
    let (statements, _) = read("env[LC_ALL] = C");
    assert_eq!(statements, [Statement::Array { name: b"env".to_vec(), key: b"LC_ALL".to_vec(), value: b"C".to_vec() }]);
}

#[test]
fn keys_and_sections_keep_inner_and_trailing_blanks() {
    let (statements, _) = read("  env[ a b ] = x");
    assert_eq!(statements, [Statement::Array { name: b"env".to_vec(), key: b"a b ".to_vec(), value: b"x".to_vec() }]);
    assert_eq!(read("[ www ]").0, [Statement::Section(b" www ".to_vec())]);
    assert_eq!(read("[www] ; x").0, [Statement::Section(b"www".to_vec())]);
}

#[test]
fn a_name_without_a_value_is_an_entry_without_one() {
    assert_eq!(read("listen").0, [Statement::Entry { name: b"listen".to_vec(), value: None }]);
    assert_eq!(read("a = 'open").0.len(), 2);
}

#[test]
fn syntax_errors_are_worded_by_zend() {
    assert_eq!(error("a = b = c"), "syntax error, unexpected '=' in Unknown on line 1");
    assert_eq!(error("on = 1"), "syntax error, unexpected BOOL_TRUE in Unknown on line 1");
    assert_eq!(error("a = yes no"), "syntax error, unexpected BOOL_FALSE in Unknown on line 1");
    assert_eq!(error("[x"), "syntax error, unexpected end of file, expecting ']' in Unknown on line 1");
    assert_eq!(error("a[b] c"), "syntax error, unexpected TC_LABEL, expecting '=' in Unknown on line 1");
    assert_eq!(
        error("a = \"open"),
        "syntax error, unexpected end of file, expecting TC_DOLLAR_CURLY or TC_QUOTED_STRING or '\"' in Unknown on line 2"
    );
    assert_eq!(
        error("a = (1"),
        "syntax error, unexpected END_OF_LINE, expecting '^' or '|' or '&' or ')' in Unknown on line 2"
    );
    assert_eq!(error("a = ${"), "syntax error, unexpected end of file, expecting TC_VARNAME in Unknown on line 1");
}

#[test]
fn what_stands_before_an_error_counts() {
    let (statements, error) = read("a = 1 = 2");
    assert_eq!(statements, [Statement::Entry { name: b"a".to_vec(), value: Some(b"1 ".to_vec()) }]);
    assert!(error.is_some());
}

#[test]
fn a_carriage_return_ends_a_line_and_a_nul_byte_the_text() {
    assert_eq!(read("a = 1\r").0.len(), 1);
    assert_eq!(read("a = 1\rb = 2").0.len(), 2);
    assert_eq!(read("a = b\0c").0, [Statement::Entry { name: b"a".to_vec(), value: Some(b"b".to_vec()) }]);
}

#[test]
fn nesting_has_an_end() {
    assert!(error(&format!("a = {}1", "(".repeat(100_000))).starts_with("memory exhausted"));
    assert!(error(&format!("a = {}1", "~".repeat(100_000))).starts_with("memory exhausted"));
    assert!(error(&format!("a = {}", "${x:-".repeat(100_000))).starts_with("memory exhausted"));
}

/// Bytes that mean something to the scanner come often.
fn nasty_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(b"[]{}()\"'$\\=;&|^~! \t\r:-ayn1\0".to_vec())];
    proptest::collection::vec(byte, 0..200)
}

proptest! {
    #[test]
    fn no_line_makes_it_panic_or_hang(mut line in nasty_bytes()) {
        line.push(b'\n');
        parse_line(&line, &Known);
    }

    #[test]
    fn plain_text_in_double_quotes_is_what_it_is(text in "[a-zA-Z0-9 ;=&|~()!\\[\\]{}'#äß]{0,40}") {
        prop_assert_eq!(value(&format!("\"{text}\"")), text);
    }

    #[test]
    fn text_in_single_quotes_is_what_it_is(text in "[^'\n\0]{1,40}") {
        prop_assert_eq!(value(&format!("'{text}'")), text);
    }
}
