//! Bodies of all kinds, compared with php-fpm.

use std::fs;

use serde_json::{Value, json};
use testkit::bytes::crc32;
use testkit::clock::{bar, ms, wait_until};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{FORM, MULTIPART, RAW, TELLS, bytes, documented, in_memory};

fn multipart(file: &[u8]) -> Vec<u8> {
    let head = "--edge\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nfive!\r\n--edge\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"f.bin\"\r\n\r\n";
    [head.as_bytes(), file, b"\r\n--edge--\r\n"].concat()
}

struct Case {
    name: &'static str,
    method: &'static str,
    headers: &'static str,
    body: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let big = bytes(12 << 20);
    let case = |name, method, headers, body: &[u8]| Case { name, method, headers, body: body.to_vec() };
    vec![
        case("multipart", "POST", MULTIPART, &multipart(&big)),
        case("small multipart", "POST", MULTIPART, &multipart(b"x")),
        case("form", "POST", FORM, format!("a=1&long={}&b=two", "v".repeat(3 << 20)).as_bytes()),
        case("small form", "POST", FORM, b"a=1&b=two"),
        case("raw", "POST", RAW, &big),
        case("put", "PUT", RAW, &big),
        case("put form", "PUT", FORM, b"a=1&b=two"),
        case("patch multipart", "PATCH", MULTIPART, &multipart(b"x")),
        case("empty", "POST", FORM, b""),
        case("get", "GET", "", b""),
        case("delete", "DELETE", RAW, b"why"),
    ]
}

/// The answers to all cases. Body files are in memory, PHP's on disk.
fn answers(target: &Target) -> Outcome<Vec<(&'static str, Value)>> {
    let server = Server::start(target, &Setup::new(1).ini("memory_limit = 512M"))?;
    server.sandbox.put("www/tells.php", TELLS)?;
    let memory = in_memory()?;
    let bodies = memory.path().join("bodies");
    let nginx = documented(&server.sandbox, &server.address, &bodies)?;
    let mut web = nginx.client(ms(20_000));
    let mut seen = Vec::new();
    for Case { name, method, headers, body } in cases() {
        let reply = web.send(method, "/tells.php", headers, &body)?;
        let text = reply.expect(200).map_err(|error| format!("{name}: {error}; {}", nginx.errors()))?.text();
        seen.push((name, serde_json::from_str(&text).map_err(|error| format!("{name}: {error}: {text}"))?));
        let left = || fs::read_dir(&bodies).map_or(0, Iterator::count);
        wait_until("nginx has removed the body file", bar(ms(5000)), || left() == 0)?;
    }
    server.stop()?;
    Ok(seen)
}

#[test]
fn what_scripts_see_through_nginx() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let big = bytes(12 << 20);
    for ((name, seen), case) in answers(&target)?.into_iter().zip(cases()) {
        let size = case.body.len();
        // With `Content-Length: 0` nginx names an empty file.
        ensure!(seen["named"] == (name != "get"), "{name}: {seen}");
        ensure!(name == "get" || seen["length"] == json!(size.to_string()), "{name}: {seen}");
        let parsed = match name {
            "multipart" => json!([{"text": 5}, {"file": ["f.bin", big.len(), true, true, crc32(&big)]}]),
            "small multipart" => json!([{"text": 5}, {"file": ["f.bin", 1, true, true, crc32(b"x")]}]),
            "form" => json!([{"a": 1, "long": 3 << 20, "b": 3}, []]),
            "small form" => json!([{"a": 1, "b": 3}, []]),
            _ => json!([[], []]),
        };
        ensure!(json!([seen["post"], seen["files"]]) == parsed, "{name}: {seen}");
        // PHP has parsed a multipart form of a POST: there is no php://input.
        let raw: &[u8] = if name.ends_with("multipart") && case.method == "POST" { b"" } else { &case.body };
        ensure!(seen["raw"] == json!([raw.len(), crc32(raw)]), "{name}: {seen}");
        ensure!(seen["copies"] == 0, "{name}: PHP has a copy of the body: {seen}");
        if raw.len() > 8 {
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let seeks = json!([0, hex(&raw[raw.len() - 3..]), 0, hex(&raw[1..4]), false]);
            ensure!(seen["seeks"] == seeks, "{name}: {seen}");
        }
    }
    Ok(())
}

/// php-fpm reads the file, too. The only difference is its copy of the file.
#[test]
fn the_same_under_php_fpm_but_for_the_copy() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let (ours, mut theirs) = (answers(&target)?, answers(&target.partner())?);
    let mut copies = 0;
    for (_, seen) in &mut theirs {
        copies += seen["copies"].as_u64().unwrap_or(0);
        seen["copies"] = json!(0);
    }
    for (ours, theirs) in ours.iter().zip(&theirs) {
        ensure!(ours == theirs, "{ours:?}\nphp-fpm: {theirs:?}");
    }
    ensure!(copies >= 3, "php-fpm made {copies} copies: the test doesn't see them");
    Ok(())
}
