//! Forms: what a script sees of the body is the same, whether PHP or this library takes it apart. The expected values are PHP's:
//! of `parse_str()`, and of php-fpm, with which these tests pass as well (`CGI_FPM_DOOR=php-fpm`).
#![forbid(unsafe_code)]

use std::path::Path;

use serde_json::{Value, json};
use testkit::bytes::crc32;
use testkit::clock::ms;
use testkit::fastcgi::{Answer, Client, Request, ask_once};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

const FORM: &str = "application/x-www-form-urlencoded";

/// Compares `$_POST` with what `parse_str()` makes of the body, and ext/filter's copy with both.
const TELLS: &str = r#"<?php
$number = (int) fopen('php://memory', 'r');
$raw = file_get_contents('php://input');
parse_str($raw, $expected);
$filter = filter_input_array(INPUT_POST);
$_POST['changed'] = $_POST['a']['b']['changed'] ?? 1;
unset($_POST['changed']);
$input = fopen('php://input', 'rb');
$seeks = [];
foreach ([[0, SEEK_END], [-2, SEEK_END], [1, SEEK_SET], [2, SEEK_CUR], [-1, SEEK_SET]] as [$offset, $from])
    $seeks[] = [fseek($input, $offset, $from), ftell($input), bin2hex(fread($input, 2))];
echo json_encode([
    'same' => $_POST === $expected, 'filter' => $filter === ($raw === '' ? null : $expected),
    'fields' => count($expected), 'raw' => [strlen($raw), hash('crc32b', $raw)], 'number' => $number, 'seeks' => $seeks,
    'warnings' => error_get_last()['message'] ?? null, 'has' => filter_has_var(INPUT_POST, 'a'),
]);
"#;

/// Bodies with what PHP treats in a way of its own.
const BODIES: &[&str] = &[
    "",
    "&",
    "=",
    "a=1",
    "a=1&",
    "&&a=1&&",
    "a",
    "a=",
    "=1",
    "a=1=2",
    "a=1&a=2",
    "a.b=1&a b=2&a+b=3&a%20b=4&a_b=5",
    " a=1&+a=2&%20%20a=3",
    "a[]=1&a[]=2&a[x]=3&a[]=4",
    "a[b]=1&a=2&a[c]=3",
    "a[b][c]=1&a[b]=2&a[b][d]=3",
    "a[=1&a[b=2&a[b]c=3&a[b]]=4&a]=5&]=6&[=7&[]=8&[a]=9",
    "a[b.c d]=1&a.b[c.d=2&a[b][=3",
    "a[ ]=1&a[ b]=2&a[+c]=3&a[%0a]=4",
    "a%5Bb%5D=1&a%5b%5d=2",
    "a%00b=1&a[%00]=2&a[b%00]=3&c=x%00y",
    "0=1&1=2&-1=3&007=4&9223372036854775807=5&9223372036854775808=6&-0=7&1e3=8",
    "a[9223372036854775807]=1&a[]=2&a[-5]=3&a[]=4",
    "GLOBALS=1&GLOBALS[a]=2&this=3&_POST[a]=4",
    "__Host-a=1&_ _Host-a=2&_.Secure-b=3&__Secure-b=4&..Host-c=5",
    "a=%&b=%4&c=%41&d=%4g&e=%%41&f=%zz&g=+%2B+&h=%c3%a4",
    "a=\u{e4}&\u{e4}=1&a;b=2",
    "a=\"'\\&b=<script>&c='",
];

fn ask(client: &mut Client, page: &Path, body: &[u8]) -> Outcome<Value> {
    let answer = post(client, page, body)?;
    Ok(serde_json::from_str(&answer.body()).map_err(|fault| format!("{fault}: {}", answer.body()))?)
}

fn post(client: &mut Client, page: &Path, body: &[u8]) -> Outcome<Answer> {
    client.ask(&Request::post(page, body).param("CONTENT_TYPE", FORM).keep())
}

/// Forms of all sizes: in PHP's memory, in ours, and those that are left to PHP.
fn large() -> Vec<(usize, Vec<u8>)> {
    let sizes = [8_191, 8_192, 16_383, 16_384, 16_385, 100_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20];
    let of = |size: usize, field: &dyn Fn(usize) -> String| {
        let text: String = (0..)
            .map(field)
            .scan(0, |sum, field| {
                (*sum < size).then(|| {
                    *sum += field.len();
                    field
                })
            })
            .collect();
        (size, text.as_bytes().iter().copied().take(size).collect::<Vec<u8>>())
    };
    let one = |size| of(size, &|at| if at == 0 { "a=".to_owned() } else { "0123456789".to_owned() });
    let many = |size: usize| {
        of(size, &|at| format!("a[{}][%62%{:02x}]=%C3%a4+{}&", at / 10, at % 256, "x".repeat(size / 900)))
    };
    sizes.into_iter().flat_map(|size| [one(size), many(size)]).collect()
}

#[test]
fn fields_names_and_values() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    server.sandbox.put("www/tells.php", TELLS)?;
    let page = server.sandbox.page("tells.php");
    let mut client = Client::connect(&server.address, ms(10_000))?;
    // PHP opens the script, which takes a number as well. Later it is in opcache.
    ask(&mut client, &page, b"a=1")?;
    let small = BODIES.iter().map(|body| (0, body.as_bytes().to_vec()));
    for (size, body) in small.chain(large()) {
        let seen = ask(&mut client, &page, &body)?;
        let shown = String::from_utf8_lossy(body.get(..body.len().min(200)).unwrap_or_default()).into_owned();
        ensure!(seen["same"] == json!(true), "{size} {shown}: {seen}");
        ensure!(seen["filter"] == json!(true), "{size} {shown}: {seen}");
        ensure!(seen["raw"] == json!([body.len(), crc32(&body)]), "{size} {shown}: {seen}");
        // A body of 16 KB or more is in a temporary file, which has a number of its own.
        let number = if body.len() < 16_384 { 4 } else { 5 };
        ensure!(seen["number"] == json!(number), "{size} {shown}: {seen}");
        let end = i64::try_from(body.len())?;
        ensure!(seen["seeks"][0] == json!([0, end, ""]), "{size} {shown}: {seen}");
        ensure!(seen["warnings"].is_null(), "{size} {shown}: {seen}");
    }
    server.stop()
}

/// PHP registers the field that exceeds the limit, reports it, and drops the rest.
#[test]
fn limits() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let setup = Setup::new(1).ini("max_input_vars = 3").ini("max_input_nesting_level = 2").ini("display_errors = 0");
    let server = Server::start(&target, &setup)?;
    server.sandbox.put("www/dump.php", "<?php echo json_encode([$_POST, filter_input_array(INPUT_POST)]);")?;
    let page = server.sandbox.page("dump.php");
    let mut client = Client::connect(&server.address, ms(10_000))?;
    let vars = "Input variables exceeded 3.";
    let nesting = "Input variable nesting level exceeded 2.";
    let both = |value: Value| json!([value, value]);
    let cases = [
        ("a=1&b=2&c=3&", both(json!({"a": "1", "b": "2", "c": "3"})), vec![]),
        ("a=1&b=2&c=3&d=4&e=5", both(json!({"a": "1", "b": "2", "c": "3", "d": "4"})), vec![(vars, 1)]),
        ("a[b][c]=1&d=2", both(json!({"a": {"b": {"c": "1"}}, "d": "2"})), vec![]),
        // ext/filter registers each field before PHP does.
        ("a[b][c][d]=1&d=2", both(json!({"d": "2"})), vec![(nesting, 2)]),
        ("a%5Bb][c][d]=1&d=2", both(json!({"d": "2"})), vec![(nesting, 2)]),
    ];
    for (body, expected, warnings) in cases {
        let answer = post(&mut client, &page, body.as_bytes())?;
        let seen: Value = serde_json::from_str(&answer.body())?;
        ensure!(seen == expected, "{body}: {seen}");
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        for text in [vars, nesting] {
            let wanted = warnings.iter().find(|(warning, _)| *warning == text).map_or(0, |(_, count)| *count);
            ensure!(said.matches(text).count() == wanted, "{body}: {said}");
        }
    }
    server.stop()
}

/// Settings that the library leaves to PHP.
#[test]
fn other_settings() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let long = "x".repeat(20_000);
    for (setting, post, filter) in [
        ("filter.default = special_chars", json!("&#60;b&#62;"), json!("<b>")),
        ("enable_post_data_reading = 0", Value::Null, Value::Null),
        ("variables_order = EGCS", Value::Null, Value::Null),
        ("post_max_size = 10", Value::Null, Value::Null),
        ("max_input_vars = 0", json!("<b>"), json!("<b>")),
    ] {
        let server = Server::start(&target, &Setup::new(1).ini(setting))?;
        let text = "<?php echo json_encode([$_POST['a'] ?? null, filter_input(INPUT_POST, 'a'), strlen(file_get_contents('php://input'))]);";
        server.sandbox.put("www/dump.php", text)?;
        let page = server.sandbox.page("dump.php");
        let mut client = Client::connect(&server.address, ms(10_000))?;
        for body in ["a=%3Cb%3E&b=2".to_owned(), format!("a=%3Cb%3E&b={long}")] {
            let seen = ask(&mut client, &page, body.as_bytes())?;
            ensure!(seen == json!([post, filter, body.len()]), "{setting}: {seen}");
        }
        server.stop()?;
    }
    Ok(())
}

/// Made-up bodies, read by PHP and by the library in one process (build-aux/compare-forms.sh).
#[test]
fn compared() -> Outcome {
    const PIECE: u64 = 100_000;
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let Some(count) = number("CGI_FPM_COMPARE") else {
        testkit::skip("CGI_FPM_COMPARE is not set (build-aux/compare-forms.sh sets it)");
        return Ok(());
    };
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let text = "<?php set_time_limit(0); echo cgi_fpm_compare_forms() ? 'same' : 'different';";
    server.sandbox.put("www/compare.php", text)?;
    let page = server.sandbox.page("compare.php");
    let first = number("CGI_FPM_SEED").unwrap_or(1);
    for kind in ["urlencoded", "multipart"] {
        for seed in (first..first + count).step_by(usize::try_from(PIECE)?) {
            let count = PIECE.min(first + count - seed);
            let request = Request::get(&page).param("QUERY_STRING", &format!("{kind}:{seed}:{count}"));
            let said = ask_once(&server.address, &request, ms(600_000))?;
            ensure!(said == "same", "{said}");
        }
    }
    testkit::say(&format!("{count} bodies, from seed {first} on: the same"));
    server.stop()
}
