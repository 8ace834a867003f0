//! Incomplete bodies: a form is answered with 400 and its script does not run; a script can read all bytes that
//! arrived of any other body, and `connection_status()` reports it. Sent directly, and through nginx and Apache.
#![forbid(unsafe_code)]

mod fronts;

use std::fs;

use serde_json::{Value, json};
use testkit::bytes::crc32;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Answer, Client, Request, ask_once, kind, pairs, record, stream};
use testkit::log::Log;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Notes what it received. It prints nothing before: the client may have closed the connection.
const NOTES: &str = r"<?php
$before = connection_status();
$raw = file_get_contents('php://input');
$seen = ['length' => strlen($raw), 'sum' => hash('crc32b', $raw), 'fields' => count($_POST) + count($_FILES),
    'before' => $before, 'status' => connection_status(), 'aborted' => connection_aborted()];
file_put_contents('OUT/notes.new', json_encode($seen));
rename('OUT/notes.new', 'OUT/notes');
echo json_encode($seen);
";

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=edge";

/// How a body ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closes.
    Closed,
    /// It ends its sending side, and continues to read.
    HalfClosed,
    /// FCGI_ABORT_REQUEST.
    Aborted,
    /// An end of STDIN short of CONTENT_LENGTH.
    Short,
}

const ENDS: [End; 4] = [End::Closed, End::HalfClosed, End::Aborted, End::Short];

struct Place {
    server: Server,
}

impl Place {
    fn start(target: &Target, listen: Listen) -> Outcome<Self> {
        let sandbox = Sandbox::new()?;
        let log = format!("access.log = {}", sandbox.file("access.log").display());
        let setup = Setup::new(1).listen(listen).pool(&log).pool("access.format = '%m %r %s %l'");
        let setup = setup.pool("pm.status_path = /status").pool("catch_workers_output = yes");
        let server = Server::start_in(sandbox, target, &setup)?;
        let out = server.sandbox.file("out").display().to_string();
        server.sandbox.put("www/notes.php", &NOTES.replace("OUT", &out))?;
        Ok(Self { server })
    }

    /// The only worker is idle again.
    fn settle(&self) -> Outcome {
        ask_once(&self.server.address, &Request::get(&self.server.sandbox.page("hello.php")), ms(20_000)).map(drop)
    }

    /// The notes of the script, once. A file that was not there yet is not removed: it may come at this moment.
    fn notes(&self) -> Outcome<Option<Value>> {
        let path = self.server.sandbox.file("out/notes");
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        fs::remove_file(path)?;
        Ok(Some(serde_json::from_str(&text)?))
    }

    /// Waits for the notes. A request of which nothing had come when the worker looked is set aside, so `settle` may be
    /// served before it.
    fn noted(&self, what: &str) -> Outcome<Value> {
        let mut seen = None;
        wait_until(&format!("{what}: the script notes what it got"), bar(ms(10_000)), || {
            seen = self.notes().ok().flatten();
            seen.is_some()
        })?;
        seen.ok_or_else(|| "no notes".into())
    }

    /// The files in the upload directory.
    fn left(&self) -> usize {
        fs::read_dir(self.server.sandbox.file("out")).map_or(0, Iterator::count)
    }

    fn incomplete(&self) -> Outcome<u64> {
        let page = Request::of_pool("/status", "json");
        let body = ask_once(&self.server.address, &page, ms(20_000))?;
        Ok(serde_json::from_str::<Value>(&body)?["incomplete forms"].as_u64().unwrap_or(0))
    }

    fn post(&self, method: &str, type_: &str, announced: usize) -> Request {
        let page = Request::get(&self.server.sandbox.page("notes.php")).param("REQUEST_METHOD", method);
        page.param("CONTENT_TYPE", type_).param("CONTENT_LENGTH", &announced.to_string())
    }

    /// Sends this part of a body and ends it; returns the answer, if the client still reads.
    fn send(&self, request: &Request, came: &[u8], end: End) -> Outcome<Option<Answer>> {
        let mut client = Client::connect(&self.server.address, ms(20_000))?;
        let mut bytes = record(kind::BEGIN_REQUEST, 1, &[0, 1, 0, 0, 0, 0, 0, 0]);
        bytes.extend(stream(kind::PARAMS, 1, &pairs(&request.params), 65535));
        came.chunks(8000).for_each(|part| bytes.extend(record(kind::STDIN, 1, part)));
        match end {
            End::Aborted => bytes.extend(record(kind::ABORT_REQUEST, 1, b"")),
            End::Short => bytes.extend(record(kind::STDIN, 1, b"")),
            End::Closed | End::HalfClosed => {}
        }
        client.send(&bytes)?;
        let answer = match end {
            End::Closed => return Ok(None),
            End::HalfClosed => {
                client.end_sending()?;
                client.answer()?
            }
            End::Aborted | End::Short => client.answer()?,
        };
        Ok(Some(answer).filter(|_| end != End::Aborted))
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| b"abcdefghijklmnopqrstuvwxyz"[at * 7 % 26]).collect()
}

/// A text field, a whole file, and a file that never ends.
fn uploads(count: usize) -> Vec<u8> {
    let part = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"{name}.bin\"\r\n\r\n");
    let text = "--edge\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nfive!\r\n";
    let head = format!("{text}--edge\r\n{}whole\r\n--edge\r\n{}", part("one"), part("two"));
    [head.as_bytes(), &bytes(count)].concat()
}

#[test]
fn a_form_does_not_run() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for listen in [Listen::Unix, Listen::Tcp] {
        let place = Place::start(&target, listen)?;
        let mut counted = 0;
        for end in ENDS {
            let form = |count| [&b"amount=1000&note="[..], &bytes(count)].concat();
            for (type_, came) in [
                (FORM, form(0)),
                (FORM, form(40_000)),
                (FORM, form(120_000)),
                (MULTIPART, uploads(3)),
                (MULTIPART, uploads(90_000)),
            ] {
                let what = format!("{listen:?}, {end:?}, {type_}, {} bytes", came.len());
                let (log, access) = (&place.server.log, Log::new(&place.server.sandbox.file("access.log")));
                let (mark, access_mark) = (log.mark(), access.mark());
                let request = place.post("POST", type_, came.len() + 5000);
                let answer = place.send(&request, &came, end)?;
                place.settle()?;
                ensure!(place.notes()?.is_none(), "{what}: the script has run");
                if let Some(answer) = answer {
                    let head = answer.headers();
                    ensure!(head.starts_with("Status: 400 Bad Request"), "{what}: {head}");
                    ensure!(answer.body() == "The request's body is incomplete.\n", "{what}: {}", answer.body());
                }
                ensure!(place.left() == 0, "{what}: {} files are left", place.left());
                let line = format!("notes.php' was cut off after {} of {} bytes", came.len(), came.len() + 5000);
                log.wait_for(mark, &[&line], bar(ms(5000)))?;
                ensure!(log.since(mark).lines().count() == 1, "{what}: {}", log.since(mark));
                let lines = access.since(access_mark);
                let wanted = format!("POST /notes.php 400 {}\n", came.len() + 5000);
                ensure!(lines.starts_with(&wanted) && lines.lines().count() == 2, "{what}: {lines}");
                counted += 1;
                ensure!(place.incomplete()? == counted, "{what}: not counted");
            }
        }
        place.server.stop()?;
    }
    Ok(())
}

/// PHP parses none of these before the script runs.
#[test]
fn a_raw_body_is_read_to_its_last_byte() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let place = Place::start(&target, Listen::Unix)?;
    let (json, octets) = ("application/json", "application/octet-stream");
    let kinds =
        [("POST", json, ""), ("POST", FORM, "enable_post_data_reading = 0"), ("PUT", FORM, ""), ("PUT", octets, "")];
    for end in ENDS {
        for (method, type_, setting) in kinds {
            for count in [0, 7, 16_384, 40_000, 70_001] {
                let what = format!("{end:?}, {method} {type_} {setting}, {count} bytes");
                let request = place.post(method, type_, 100_000).param("PHP_ADMIN_VALUE", setting);
                let came = bytes(count);
                let answer = place.send(&request, &came, end)?;
                place.settle()?;
                let seen = place.noted(&what)?;
                // A web server does not pass on a body that ended without a byte.
                let cut = u8::from(end != End::Short || count > 0);
                let wanted = json!({"length": count, "sum": crc32(&came), "fields": 0, "before": seen["before"], "status": cut, "aborted": cut});
                ensure!(seen == wanted, "{what}: {seen}");
                if let Some(answer) = answer {
                    ensure!(
                        serde_json::from_str::<Value>(&answer.body()).ok() == Some(seen),
                        "{what}: {}",
                        answer.body()
                    );
                }
            }
        }
    }
    // A complete body with the same worker: no earlier request has an effect.
    let request = Request { body: bytes(70_001), ..place.post("PUT", octets, 70_001) };
    ask_once(&place.server.address, &request, ms(20_000))?;
    let seen = place.notes()?.ok_or("the script hasn't run")?;
    ensure!(seen["length"] == 70_001 && seen["status"] == 0 && seen["aborted"] == 0, "{seen}");
    ensure!(place.incomplete()? == 0, "counted as forms");
    place.server.stop()
}

/// Scripts with complete bodies run, also with more bytes than announced, and with none.
#[test]
fn a_whole_form_runs() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let place = Place::start(&target, Listen::Unix)?;
    let whole = [uploads(9000), b"\r\n--edge--\r\n".to_vec()].concat();
    let forms = [
        (FORM, b"a=1&b=2".to_vec(), 0, 2),
        (FORM, b"a=1".to_vec(), 1, 1),
        (FORM, Vec::new(), 0, 0),
        (MULTIPART, whole, 0, 3),
    ];
    for (type_, body, more, fields) in forms {
        let request = place.post("POST", type_, body.len() - more);
        place.send(&request, &body, End::Short)?;
        place.settle()?;
        let seen = place.noted(type_)?;
        ensure!(seen["fields"] == fields && seen["status"] == 0, "{type_}: {seen}");
    }
    place.server.stop()
}

/// STDIN ends before the first byte: the web server keeps the body, and the script runs without it.
#[test]
fn a_body_that_is_not_passed_on_is_empty() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let place = Place::start(&target, Listen::Unix)?;
    for type_ in [FORM, MULTIPART] {
        let answer = place.send(&place.post("POST", type_, 3), b"", End::Short)?.ok_or("no answer")?;
        place.settle()?;
        let seen = place.notes()?.ok_or_else(|| format!("{type_}: the script hasn't run: {}", answer.body()))?;
        let none = json!({"length": 0, "sum": "00000000", "fields": 0, "before": 0, "status": 0, "aborted": 0});
        ensure!(seen == none, "{type_}: {seen}");
    }
    place.server.stop()
}

/// A body without a byte counts as cut off also if STDIN is not ended.
#[test]
fn a_form_of_which_nothing_came_does_not_run() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let place = Place::start(&target, Listen::Unix)?;
    for end in [End::Closed, End::HalfClosed, End::Aborted] {
        for type_ in [FORM, MULTIPART] {
            let mark = place.server.log.mark();
            place.send(&place.post("POST", type_, 3), b"", end)?;
            place.settle()?;
            ensure!(place.notes()?.is_none(), "{end:?}, {type_}: the script has run");
            place.server.log.wait_for(mark, &["notes.php' was cut off after 0 of 3 bytes"], bar(ms(5000)))?;
        }
    }
    place.server.stop()
}
