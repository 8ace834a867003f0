//! What is ignored, asked for or refused.

use super::*;
use crate::config::oracle::check_xml;
use crate::config::xml::is_xml;

#[test]
fn unknown_things_are_named_and_left_out() {
    let place = file(
        &[value("daemonise", "yes"), value("include", "x")].concat(),
        &[&format!("{POOL}\n<value name=\"max_request\">1</value><value>1</value><b/>")],
    );
    assert_eq!(
        place.remarks(),
        [
            "Warning: [DIR/php-fpm.conf:4] unknown setting 'daemonise' in section 'global_options'",
            "Notice: [DIR/php-fpm.conf:4] hint: did you mean daemonize?",
            "Warning: [DIR/php-fpm.conf:4] unknown setting 'include' in section 'global_options'",
            "Warning: [DIR/php-fpm.conf:7] a <value> without a name is ignored",
            "Notice: [DIR/php-fpm.conf:7] hint: write <value name=\"…\">",
            "Warning: [DIR/php-fpm.conf:7] unknown element <b> is ignored",
            "Warning: [DIR/php-fpm.conf:7] unknown setting 'max_request' in section 'pool'",
            "Notice: [DIR/php-fpm.conf:7] hint: did you mean max_requests?",
        ]
    );
}

#[test]
fn what_must_be_there_is_asked_for() {
    let without = |name: &str| file("", &[&POOL.replace(name, "x")]).refusal();
    let place = "Error: [DIR/php-fpm.conf:6]";
    assert_eq!(without("max_children")[0], format!("{place} pool 'default' has no max_children"));
    let user = format!("{place} pool 'default' has no user; please specify user and group other than root");
    assert_eq!(without("user")[0], user);
    assert_eq!(
        pool(&value("request_slowlog_timeout", "5s")).refusal(),
        [
            format!("{place} 'slowlog' must be specified for use with 'request_slowlog_timeout'"),
            "Notice: [DIR/php-fpm.conf:6] hint: write <value name=\"slowlog\">logs/slow.log</value>".to_owned(),
        ]
    );
    let none = Place::new("<configuration>\n</configuration>");
    let text = "Error: [DIR/php-fpm.conf:1] at least one pool section must be specified in config file";
    assert_eq!(none.refusal()[0], text);
}

#[test]
fn a_file_without_a_slow_log_in_time_starts() {
    let values =
        [value("request_slowlog_timeout", "9s"), value("slowlog", "logs/s"), value("request_terminate_timeout", "5s")];
    let place = pool(&values.concat());
    assert!(place.config().pools[0].request_slowlog_timeout.is_zero());
    assert!(place.remarks()[0].contains("request_slowlog_timeout (9s) has no effect"), "{:?}", place.remarks());
}

#[test]
fn what_is_no_xml_is_told_with_its_line() {
    let told = |text: &str| {
        let refusal = Place::new(text).refusal();
        refusal[0].strip_prefix("Error: [DIR/php-fpm.conf:").unwrap().to_owned()
    };
    for (text, expected) in [
        ("<configuration>", "1] <configuration> of line 1 is not closed"),
        ("\n<a>\n<b></a>", "3] </a> does not close <b> of line 3"),
        ("<configuration/></x>", "1] </x> closes nothing"),
        ("<configuration/>\n<x/>", "2] <x> comes after the end of the outermost element"),
        ("<configuration/>\nwords", "2] text outside of the outermost element"),
        ("<?xml version=\"1.0\"?>\n", "2] the file contains no element"),
        ("<config/>", "1] the outermost element is <config>"),
        (
            "<!DOCTYPE x [\n<!ENTITY a \"b\">]>\n<x/>",
            "1] a DOCTYPE is refused: neither a DTD nor its entities are read",
        ),
        ("<!DOCTYPE x [", "1] a DOCTYPE is refused: neither a DTD nor its entities are read"),
        ("<configuration>\n&foo;</configuration>", "2] the entity &foo; is not known"),
        ("<configuration>\n\na & b</configuration>", "3] not well-formed: "),
        ("<configuration>\n<!-- a -- b --></configuration>", "2] not well-formed: "),
        ("<configuration>\n<value", "2] not well-formed: "),
        ("<configuration>&#0;</configuration>", "1] the entity &#0; is not known"),
        ("<configuration>\x07</configuration>", "1] a control character"),
        ("<?xml version=\"1.0\" encoding=\"KOI8-R\"?>\n<a/>", "1] the encoding KOI8-R is not supported"),
        ("<configuration><xi:include href=\"x\"/></configuration>", "1] XInclude is refused"),
        ("<configuration xmlns:i=\"http://www.w3.org/2001/XInclude\">", "1] XInclude is refused"),
        ("<a b=\"1\" b=\"2\"/>", "1] <a> is not well-formed: "),
        ("<configuration><section name=\"pool\"/></configuration>", "1] a pool is outside of <workers>"),
        ("<configuration><value name=\"a\">b</value></configuration>", "1] <value name=\"a\"> is in no section"),
        (
            "<configuration><x><value name=\"a\">b</value></x></configuration>",
            "1] the settings in <x> are in no section",
        ),
        ("<configuration><workers><workers/></workers></configuration>", "1] <workers> must not be inside <workers>"),
    ] {
        let told = told(text);
        assert!(told.starts_with(expected), "{text}: {told}");
    }
    let deep = "<a>".repeat(1_000_000);
    assert_eq!(told(&deep), "1] more than 16 elements inside one another");
}

#[test]
fn a_file_is_xml_if_it_begins_so() {
    assert!(is_xml(b"<a/>") && is_xml(b" \r\n\t<?xml?>") && is_xml(b"\xef\xbb\xbf\n<a/>"));
    assert!(!is_xml(b"") && !is_xml(b"[global]") && !is_xml(b"; <") && !is_xml(b"\xef\xbb"));
    let bytes = Place::new("x");
    fs::write(bytes.path().join("php-fpm.conf"), b"<a>\n\xff</a>").unwrap();
    assert_eq!(bytes.refusal()[0], "Error: [DIR/php-fpm.conf:2] a byte that is not UTF-8");
}

/// Pieces of files, well-formed more often than not.
fn piece() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "name",
            "user",
            "pm",
            "style",
            "max_children",
            "listen_address",
            "slowlog",
            "environment",
            "php_defines",
            "request_slowlog_timeout",
            "apache_like",
            "MinSpareServers",
            "rlimit_core",
            "listen_options",
            "yes",
            "null",
            "None",
            "E_ALL",
            "mode",
        ])
        .prop_map(str::to_owned),
        "[a-z_.$ ]{0,6}",
    ];
    let text = prop_oneof!["[0-9]{1,4}[smhd]?", "(yes|no|static|apache-like|/a b|\\$X)", "[ -~]{0,9}", "\\PC{0,5}"];
    let escaped = text.prop_map(|text| text.replace('&', "&amp;").replace('<', "&lt;"));
    (name, escaped).prop_map(|(name, text)| format!("<value name=\"{name}\">{text}</value>"))
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
        check_xml(&bytes);
        check_xml(&[b"<configuration>", bytes.as_slice()].concat());
    }

    #[test]
    fn no_markup_makes_reading_panic(text in "(<[a-z/!?&;\\[ =\"-]{0,9}>?|&[a-z#0-9]{0,3};?|[a-z\n]){0,30}") {
        check_xml(text.as_bytes());
    }

    /// The ini file made from an XML file gives the same configuration (`check_xml` compares).
    #[test]
    fn what_is_read_goes_there_and_back(global in prop::collection::vec(piece(), 0..4), values in prop::collection::vec(piece(), 0..6), pairs in prop::collection::vec(piece(), 0..6)) {
        let (global, values, pairs) = (global.concat(), values.concat(), pairs.concat());
        let text = format!(
            "<configuration><section name=\"global_options\">{global}</section><workers><section name=\"pool\">{POOL}{values}\
             <value name=\"php_defines\">{pairs}</value><value name=\"environment\">{pairs}</value></section></workers></configuration>"
        );
        check_xml(text.as_bytes());
    }
}
