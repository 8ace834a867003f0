//! Settings about request bodies in `.user.ini`, and in php.ini's `[PATH=]`, apply to the body of the same request.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

const TELLS: &str = r"<?php
$raw = file_get_contents('php://input');
echo json_encode(['raw' => strlen($raw), 'post' => array_map(fn($value) => is_string($value) ? strlen($value) : $value, $_POST),
    'files' => array_map(fn($file) => [$file['error'], $file['size']], $_FILES)]);
";

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=edge";
const RAW: &str = "application/octet-stream";

/// Directories of the site and their settings; php.ini allows 1,000 bytes.
const SITES: [(&str, &str); 8] = [
    ("plain", ""),
    ("little", "post_max_size = 100\n"),
    ("much", "post_max_size = 1M\n"),
    ("unlimited", "post_max_size = 0\n"),
    ("small-files", "post_max_size = 1M\nupload_max_filesize = 10\n"),
    ("few-files", "post_max_size = 1M\nmax_file_uploads = 1\n"),
    ("few", "max_input_vars = 2\nmax_input_nesting_level = 1\n"),
    ("raw", "post_max_size = 1M\nenable_post_data_reading = off\n"),
];

fn start(target: &Target) -> Outcome<Server> {
    let sandbox = Sandbox::new()?;
    let www = sandbox.file("www").display().to_string();
    for (name, settings) in SITES.into_iter().chain([("by-path", "")]) {
        fs::create_dir(sandbox.file("www").join(name))?;
        sandbox.put(&format!("www/{name}/tells.php"), TELLS)?;
        sandbox.put(&format!("www/{name}/.user.ini"), settings)?;
    }
    // Nothing may follow this section.
    let setup =
        Setup::new(1).ini("post_max_size = 1000").ini(&format!("[PATH={www}/by-path]")).ini("post_max_size = 1M");
    Server::start_in(sandbox, target, &setup)
}

fn request(server: &Server, site: &str, type_: &str, body: &[u8]) -> Request {
    let page = server.sandbox.file("www").join(site).join("tells.php");
    Request::post(&page, body)
        .param("CONTENT_TYPE", type_)
        .param("DOCUMENT_ROOT", &server.sandbox.file("www").to_string_lossy())
}

fn ask(server: &Server, request: &Request) -> Outcome<Value> {
    let body = Client::connect(&server.address, ms(10_000))?.ask(request)?.body();
    Ok(serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?)
}

fn form(count: usize) -> Vec<u8> {
    format!("a=1&long={}", "v".repeat(count)).into_bytes()
}

fn multipart(count: usize) -> Vec<u8> {
    let part = |name: &str| {
        let file = "f".repeat(count);
        format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\n\r\n{file}\r\n")
    };
    let text = "--edge\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nfive!\r\n";
    format!("{text}{}{}--edge--\r\n", part("one"), part("two")).into_bytes()
}

/// A script's view of a form, of a raw body, and of uploads on that site.
fn expected(site: &str, type_: &str, size: usize) -> Value {
    let limit = match site {
        "plain" => 1000,
        "few" => 1000,
        "little" => 100,
        "much" | "by-path" | "small-files" | "few-files" | "raw" => 1 << 20,
        _ => usize::MAX,
    };
    let raw = |length| json!({"raw": length, "post": [], "files": []});
    let body = match type_ {
        FORM => form(size).len(),
        MULTIPART => multipart(size).len(),
        _ => size,
    };
    // Data that PHP does not parse stays for php://input, also if it is too much.
    if site == "raw" || type_ == RAW || body > limit {
        return raw(body);
    }
    let file = if site == "small-files" && size > 10 { json!([1, 0]) } else { json!([0, size]) };
    match (type_, site) {
        (FORM, _) => json!({"raw": body, "post": {"a": 1, "long": size}, "files": []}),
        (_, "few-files") => json!({"raw": 0, "post": {"text": 5}, "files": {"one": file}}),
        _ => json!({"raw": 0, "post": {"text": 5}, "files": {"one": file, "two": file}}),
    }
}

#[test]
fn limits_hold_for_the_body_at_hand() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target)?;
    let sites: Vec<&str> = SITES.into_iter().map(|(name, _)| name).chain(["by-path"]).collect();
    // Twice, so that each site also follows others, and its files are cached.
    for turn in 0..2 {
        for size in [5, 40, 900, 30_000] {
            for site in &sites {
                for type_ in [FORM, RAW, MULTIPART] {
                    let body = match type_ {
                        FORM => form(size),
                        MULTIPART => multipart(size),
                        _ => vec![b'r'; size],
                    };
                    let seen = ask(&server, &request(&server, site, type_, &body))?;
                    let wanted = expected(site, type_, size);
                    ensure!(seen == wanted, "{turn}: {site}, {type_}, {size}: {seen}\nnot {wanted}");
                }
            }
        }
    }
    let fields = |site: &str| ask(&server, &request(&server, site, FORM, b"a=1&b=2&c=3&d[e][f]=4"));
    // PHP notices the upload above the limit only after receiving it.
    ensure!(fields("few")?["post"] == json!({"a": 1, "b": 1, "c": 1}), "max_input_vars: {}", fields("few")?);
    ensure!(fields("plain")?["post"]["d"] == json!({"e": {"f": "4"}}), "{}", fields("plain")?);
    server.stop()
}

/// The same rules apply to a body in a file.
#[test]
fn limits_hold_for_a_body_in_a_file() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target)?;
    let file = server.sandbox.file("body");
    for (site, size) in
        [("little", 40), ("little", 900), ("much", 900), ("plain", 30_000), ("much", 30_000), ("raw", 30_000)]
    {
        for type_ in [FORM, RAW] {
            let body = if type_ == FORM { form(size) } else { vec![b'r'; size] };
            fs::write(&file, &body)?;
            let posted = request(&server, site, type_, b"").param("CONTENT_LENGTH", &body.len().to_string());
            let seen = ask(&server, &in_file(posted, &file))?;
            let wanted = expected(site, type_, size);
            ensure!(seen == wanted, "{site}, {type_}, {size}: {seen}\nnot {wanted}");
        }
    }
    server.stop()
}

fn in_file(request: Request, file: &Path) -> Request {
    request.param("REQUEST_BODY_FILE", &file.to_string_lossy())
}
