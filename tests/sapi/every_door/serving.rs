//! Real pages through a real nginx: unix and TCP sockets, one connection per request and kept connections.
#![forbid(unsafe_code)]

use std::fs;

use testkit::bytes::crc32;
use testkit::clock::{ms, wait_until};
use testkit::http::{Client, Reply};
use testkit::nginx::{Nginx, Upstream};
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

#[test]
fn unix_per_request() -> Outcome {
    serve(Listen::Unix, Upstream::PerRequest)
}

#[test]
fn unix_kept() -> Outcome {
    serve(Listen::Unix, Upstream::Kept(4))
}

#[test]
fn tcp_per_request() -> Outcome {
    serve(Listen::Tcp, Upstream::PerRequest)
}

#[test]
fn tcp_kept() -> Outcome {
    serve(Listen::Tcp, Upstream::Kept(4))
}

/// A check of a page.
type Page = fn(&mut Client) -> Outcome;

/// One worker serves all pages in sequence, so that each one also shows the effects of the previous page.
fn serve(listen: Listen, upstream: Upstream) -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).listen(listen))?;
    let nginx = Nginx::start(&server.sandbox, &server.address, upstream)?;
    let mut web = nginx.client(ms(20_000));
    let worker = web.get("/pid.php")?.expect(200)?.text();
    let pages: [(&str, Page); 9] = [
        ("phpinfo", phpinfo),
        ("form", form),
        ("upload", upload),
        ("download", download),
        ("adminer", adminer),
        ("headers and cookies", headers),
        ("big headers", big_headers),
        ("missing page", missing),
        ("endings", endings),
    ];
    for (page, check) in pages {
        check(&mut web).map_err(|error| format!("{page}: {error}; nginx: {}", nginx.errors()))?;
    }
    ensure!(
        nginx.log().text().contains("Call to undefined function no_such_function"),
        "the error isn't in nginx' log"
    );
    abort(&server, &mut nginx.client(ms(20_000)))?;
    let after = web.get("/pid.php")?.expect(200)?.text();
    ensure!(after == worker, "worker {worker} hasn't survived: now {after}");
    server.stop()
}

fn phpinfo(web: &mut Client) -> Outcome {
    let text = web.get("/info.php")?.expect(200)?.text();
    for wanted in ["PHP Version", "FPM/FastCGI", "Zend OPcache", "</html>"] {
        ensure!(text.contains(wanted), "{wanted} isn't in {} bytes", text.len());
    }
    let sapi = web.get("/sapi.php")?.expect(200)?.text();
    ensure!(sapi == "fpm-fcgi", "PHP_SAPI is {sapi}");
    Ok(())
}

fn form(web: &mut Client) -> Outcome {
    let text = web.post("/form.php", b"name=J%C3%BCrgen&list[]=1&list[]=two+words")?.expect(200)?.text();
    ensure!(text == r#"{"name":"J\u00fcrgen","list":["1","two words"]}"#, "{text}");
    Ok(())
}

fn upload(web: &mut Client) -> Outcome {
    let file: Vec<u8> = (0..5_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut body = b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.bin\"\r\n\r\n".to_vec();
    body.extend_from_slice(&file);
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let text = web
        .send("POST", "/upload.php", "Content-Type: multipart/form-data; boundary=edge\r\n", &body)?
        .expect(200)?
        .text();
    let wanted = format!("{} {} moved", file.len(), crc32(&file));
    ensure!(text == wanted, "{text} in place of {wanted}");
    Ok(())
}

fn download(web: &mut Client) -> Outcome {
    let body = web.get("/download.php?kb=20480")?.expect(200)?.body;
    let wanted: Vec<u8> =
        (0..20_480_u32).flat_map(|kb| line((b'a'..=b'z').nth(kb as usize % 26).unwrap_or(0))).collect();
    ensure!(body.len() == wanted.len(), "{} bytes in place of {}", body.len(), wanted.len());
    ensure!(crc32(&body) == crc32(&wanted), "other bytes than were written");
    Ok(())
}

fn line(letter: u8) -> [u8; 1024] {
    let mut line = [letter; 1024];
    line[1023] = b'\n';
    line
}

fn adminer(web: &mut Client) -> Outcome {
    ensure!(
        std::path::Path::new("/usr/share/adminer/adminer.php").exists(),
        "adminer is missing: apt-get install adminer"
    );
    let text = web.get("/adminer/adminer.php")?.expect(200)?.text();
    for wanted in ["<title>Login - Adminer", "auth[username]", "</form>"] {
        ensure!(text.contains(wanted), "{wanted} isn't in {} bytes", text.len());
    }
    Ok(())
}

fn headers(web: &mut Client) -> Outcome {
    let reply = web.send("GET", "/headers.php", "Cookie: a=1; b=x%20y\r\n", b"")?.expect(418)?;
    let all = |name: &str| -> Vec<String> {
        reply.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    };
    ensure!(all("x-one") == ["first", "second"], "X-One: {:?}", all("x-one"));
    ensure!(all("set-cookie") == ["color=green%20%26%20blue; path=/; HttpOnly", "size=42"], "{:?}", all("set-cookie"));
    ensure!(reply.text() == r#"{"a":"1","b":"x y"}"#, "{}", reply.text());
    Ok(())
}

fn big_headers(web: &mut Client) -> Outcome {
    let big = format!("X-Big: {}\r\n", "h".repeat(40_000));
    let reply = web.send("GET", "/bigheader.php?out=30000", &big, b"")?.expect(200)?;
    ensure!(reply.text() == "40000", "{}", reply.text());
    ensure!(reply.header("x-big").map(str::len) == Some(30_000), "the answer's header is another");
    Ok(())
}

fn missing(web: &mut Client) -> Outcome {
    let reply = web.get("/no-such-page.php")?.expect(404)?;
    ensure!(reply.text().contains("File not found."), "{}", reply.text());
    let reply = web.get("/form.txt")?;
    ensure!(matches!(reply.status, 403 | 404), "status {}", reply.status);
    Ok(())
}

fn endings(web: &mut Client) -> Outcome {
    for how in ["fatal", "exception", "memory", "time", "parse"] {
        ends(web.get(&format!("/ends.php?how={how}"))?, 500, "").map_err(|error| format!("{how}: {error}"))?;
    }
    ends(web.get("/ends.php?how=exit")?, 200, "exited")?;
    ends(web.get("/ends.php?how=none")?, 200, "ended")
}

fn ends(reply: Reply, status: u16, text: &str) -> Outcome {
    let reply = reply.expect(status)?;
    ensure!(reply.text() == text, "{:?}", reply.text());
    Ok(())
}

/// A client that closes the connection: the script is ended at its next output, with connection_status() 1.
fn abort(server: &Server, web: &mut Client) -> Outcome {
    web.send_and_leave("/abort.php", ms(100))?;
    let note = server.sandbox.file("out/aborted");
    // The file exists before it is written.
    wait_until("the aborted script's end", ms(1500), || fs::read(&note).is_ok_and(|text| !text.is_empty()))?;
    let status = fs::read_to_string(note)?;
    ensure!(status == "1", "connection_status() was {status}");
    Ok(())
}
