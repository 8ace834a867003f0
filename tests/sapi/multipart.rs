//! Multipart forms, compared with php-fpm: `$_POST`, `$_FILES`, the files, messages, and what ext/session knows of the progress.
#![forbid(unsafe_code)]

use std::path::Path;

use serde_json::Value;
use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Paths of files are random, so only what is in the files is shown.
const TELLS: &str = r#"<?php
$files = $_FILES;
array_walk_recursive($files, function (&$value) {
    if (is_string($value) && is_uploaded_file($value)) $value = [filesize($value), hash_file('crc32b', $value), fileperms($value)];
});
session_start();
$progress = array_filter($_SESSION, is_array(...));
array_walk_recursive($progress, function (&$value, $key) { if ($key === 'start_time' || $key === 'tmp_name') $value = gettype($value); });
$_SESSION = [];
echo json_encode([
    $_POST, $files, filter_input_array(INPUT_POST), strlen(file_get_contents('php://input')), $progress, count(glob(ini_get('upload_tmp_dir') . '/php*')),
], JSON_PARTIAL_OUTPUT_ON_ERROR);
"#;

/// Where no boundary is named, it is `edge`.
const EDGE: &str = "multipart/form-data; boundary=edge";

fn part(head: &str, content: &str) -> String {
    format!("--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
}

fn file(name: &str, file: &str, content: &str) -> String {
    part(&format!("name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: text/plain; charset=x"), content)
}

fn bodies() -> Vec<(&'static str, String)> {
    let end = "--edge--\r\n";
    let long = "0123456789abcdef\r\n-".repeat(60_000);
    let progress = part("name=\"PHP_SESSION_UPLOAD_PROGRESS\"", "one");
    let mut all: Vec<(&str, String)> = vec![
        (EDGE, String::new()),
        (EDGE, end.to_owned()),
        (EDGE, format!("{}{end}", part("name=\"a\"", "1"))),
        (EDGE, format!("{}{}{end}", part("name=\"a.b[c d][\"", "1"), part("name=a[]", "2"))),
        (EDGE, format!("{}{}{end}", file("f", "a.txt", "content"), part("name=\"f\"", "protected"))),
        (EDGE, format!("{}{}{end}", file("f[a.b][]", "C:\\dir\\a.txt", ""), file("f[a.b][]", "x/y", "2"))),
        (EDGE, format!("{}{}{}{end}", file("f]", "a", "1"), file("g", "b", "2"), part("name=a", "3"))),
        (EDGE, format!("{}{}{end}", file("", "a", "1"), part("filename=\"unnamed\"", "2"))),
        (EDGE, format!("{}{end}", part("x=y", "garbled"))),
        (EDGE, format!("{}{}{end}", part("name=MAX_FILE_SIZE", "4"), file("f", "a", "12345"))),
        (
            EDGE,
            format!(
                "{}{}{}{}{end}",
                file("a", "a", "1"),
                file("b", "b", "2"),
                file("c", "c", "3"),
                file("d", "d", "4")
            ),
        ),
        (EDGE, (0..12).map(|at| part(&format!("name=a{at}"), "x")).collect::<String>() + end),
        (EDGE, format!("{}{end}", file("f", "large", &long))),
        (EDGE, format!("{progress}{}{}{end}", file("f", "large", &long), file("g", "small", "1"))),
        (EDGE, format!("{progress}{}{end}", file("f", "too large", &"x".repeat(3 << 20)))),
        (EDGE, file("f", "without an end", &long)),
        (
            EDGE,
            format!(
                "junk\n{}\n--edge\nContent-Disposition:form-data;name=a\n\nlf\n--edge--",
                part("name=b", "\r\n--edg")
            ),
        ),
        ("multipart/form-data; boundary=\"edge\"; x=y", format!("{}{end}", part("name=\"a\"", "1"))),
        ("multipart/form-data", format!("{}{end}", part("name=\"a\"", "1"))),
        ("multipart/form-data; boundary=\"edge", format!("{}{end}", part("name=\"a\"", "1"))),
    ];
    // The window of PHP's reader is 5,120 bytes.
    for size in (4_950..5_130).step_by(12) {
        all.push((EDGE, format!("{}{}{end}", file("f", "a", &"x".repeat(size)), part("name=a", &"\r".repeat(size)))));
    }
    all
}

fn answers(target: &Target, settings: &[&str]) -> Outcome<Vec<(Value, String)>> {
    let mut setup = Setup::new(1);
    for setting in settings {
        setup = setup.ini(setting);
    }
    let server = Server::start(target, &setup)?;
    server.sandbox.put("www/tells.php", TELLS)?;
    let page = server.sandbox.page("tells.php");
    let mut client = Client::connect(&server.address, ms(20_000))?;
    let mut seen = Vec::new();
    for (kind, body) in bodies() {
        let (told, said) = ask(&mut client, &page, kind, &body)?;
        seen.push((told, said.replace(&*server.sandbox.path().to_string_lossy(), "DIR")));
    }
    server.stop()?;
    Ok(seen)
}

fn ask(client: &mut Client, page: &Path, kind: &str, body: &str) -> Outcome<(Value, String)> {
    let request = Request::post(page, body.as_bytes()).param("CONTENT_TYPE", kind);
    let answer = client.ask(&request.param("HTTP_COOKIE", "PHPSESSID=0123456789abcdef").keep())?;
    let text = answer.body();
    let told = serde_json::from_str(&text).map_err(|fault| format!("{fault}: {text}"))?;
    Ok((told, String::from_utf8_lossy(&answer.stderr).into_owned()))
}

#[test]
fn as_with_php_fpm() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let progress = ["session.upload_progress.cleanup = 0", "session.upload_progress.min_freq = 0"];
    let sets: [&[&str]; 5] = [
        &progress,
        &["max_file_uploads = 2", "max_input_vars = 3", "upload_max_filesize = 100K", "display_errors = 0"],
        &["max_multipart_body_parts = 2", "session.upload_progress.enabled = 0"],
        &["file_uploads = 0", "filter.default = special_chars"],
        &["post_max_size = 1K", "upload_tmp_dir = /nonexistent"],
    ];
    for settings in sets {
        let [ours, php] = [&target, &target.partner()].map(|target| answers(target, settings));
        let (ours, php) = (ours?, php?);
        for (((kind, body), ours), php) in bodies().iter().zip(ours).zip(php) {
            let shown = body.get(..body.len().min(300)).unwrap_or_default();
            ensure!(ours == php, "{settings:?} {kind} {shown}:\n{ours:?}\n{php:?}");
        }
    }
    Ok(())
}
