//! Files that cannot be a body.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Instant;

use testkit::clock::{bar, ms};
use testkit::fastcgi::{Client, Request};
use testkit::nginx::Nginx;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{FORM, MULTIPART, RAW, documented, in_memory};

/// If nginx is not told to write every body to a file, small ones would be lost silently.
#[test]
fn a_body_that_is_nowhere() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let Address::Unix(socket) = &server.address else { return Err("not on a path".into()) };
    let nginx = Nginx::start_with(|listen| {
        format!(
            "server {{ listen {listen}; root {}; location / {{
                fastcgi_pass_request_body off; include /etc/nginx/fastcgi_params;
                fastcgi_param REQUEST_BODY_FILE $request_body_file;
                fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass unix:{};
            }} }}",
            server.sandbox.file("www").display(),
            socket.display()
        )
    })?;
    let mut web = nginx.client(ms(10_000));
    web.send("POST", "/hello.php", FORM, b"a=1&b=two")?.expect(500)?;
    let line = "REQUEST_BODY_FILE: '' names no file and there is no body, but CONTENT_LENGTH is 9: nginx needs client_body_in_file_only";
    ensure!(nginx.log().text().contains(line), "{}", nginx.log().text());
    web.send("POST", "/hello.php", FORM, b"")?.expect(200)?;
    web.get("/hello.php")?.expect(200)?;
    // A body that arrived on the connection is a body.
    let sent = Request::post(&server.sandbox.page("form.php"), b"name=x").param("REQUEST_BODY_FILE", "");
    let body = Client::connect(&server.address, ms(5000))?.ask(&sent)?.body();
    ensure!(body == r#"{"name":"x"}"#, "{body}");
    server.stop()
}

/// Only nginx's user can read nginx's files: a pool of another user says so, in one line in each log.
#[test]
fn a_pool_of_another_user() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let setup = Setup::new(1).pool("user = nobody").pool("group = nogroup").pool("catch_workers_output = yes");
    let server = Server::start(&target, &setup)?;
    let memory = in_memory()?;
    let nginx = documented(&server.sandbox, &server.address, &memory.path().join("bodies"))?;
    let mut web = nginx.client(ms(10_000));
    let mark = server.log.mark();
    for headers in [FORM, RAW, MULTIPART, "Content-Type: multipart/form-data\r\n"] {
        let text = web.send("POST", "/hello.php", headers, b"a=1")?.expect(500)?.text();
        ensure!(text == "The request's body can't be read.\n", "{text}");
    }
    web.get("/hello.php")?.expect(200)?;
    let line = "cannot be read by the pool's user: only nginx's user can read the bodies that it writes. Give the pool that user";
    server.log.wait_for(mark, &[line; 4], bar(ms(5000)))?;
    let (here, there) = (server.log.since(mark), nginx.log().text());
    ensure!(here.lines().count() == 4, "{here}");
    ensure!(there.lines().filter(|told| told.contains(line)).count() == 4 && there.lines().count() == 4, "{there}");
    server.stop()
}

/// A page that reports that it ran, and a request for it with that body file.
fn with_file(server: &Server, file: &str, length: &str) -> Request {
    let page =
        Request::get(&server.sandbox.page("ran.php")).param("REQUEST_METHOD", "POST").param("REQUEST_BODY_FILE", file);
    page.param("CONTENT_TYPE", "text/plain").param("CONTENT_LENGTH", length)
}

#[test]
fn files_that_cannot_be_a_body() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).pool("catch_workers_output = yes"))?;
    server.sandbox.put("www/ran.php", "<?php echo getmypid(), file_get_contents('php://input');")?;
    let out = server.sandbox.file("out");
    let path = |name: &str| out.join(name).display().to_string();
    fs::write(path("body"), "0123456789")?;
    fs::write(path("forbidden"), "0123456789")?;
    fs::set_permissions(path("forbidden"), fs::Permissions::from_mode(0o000))?;
    symlink("/etc/hostname", path("elsewhere"))?;
    symlink(path("body"), path("link"))?;
    nix::unistd::mkfifo(Path::new(&path("fifo")), nix::sys::stat::Mode::S_IRWXU)?;
    fs::set_permissions(path("fifo"), fs::Permissions::from_mode(0o666))?;
    let ask = |request: &Request| Client::connect(&server.address, ms(5000))?.ask(request);
    let pid = ask(&with_file(&server, &path("body"), "10"))?.body().replace("0123456789", "");
    let bad = [
        ("missing", "10", "does not exist here: the web server must run on this machine"),
        ("", "10", "is not a regular file: name the file"),
        ("fifo", "10", "is not a regular file"),
        ("fifo", "", "is not a regular file"),
        ("elsewhere", "10", "is a symbolic link: name the file itself"),
        ("link", "10", "is a symbolic link"),
        ("body", "11", "has 10 bytes, but CONTENT_LENGTH is 11"),
        ("body", "9", "has 10 bytes, but CONTENT_LENGTH is 9"),
        ("body", "0", "has 10 bytes, but CONTENT_LENGTH is 0"),
        ("body", "-1", "has 10 bytes, but CONTENT_LENGTH is -1"),
    ];
    // Root may read files that other users may not.
    let forbidden = ("forbidden", "10", "cannot be read by the pool's user");
    for (name, length, reason) in bad.into_iter().chain([forbidden]) {
        let (mark, start) = (server.log.mark(), Instant::now());
        let answer = ask(&with_file(&server, &path(name), length)).map_err(|error| format!("{name}: {error}"))?;
        ensure!(answer.headers().starts_with("Status: 500 Internal Server Error"), "{name}: {}", answer.headers());
        ensure!(answer.body() == "The request's body can't be read.\n", "{name}: {}", answer.body());
        ensure!(start.elapsed() < bar(ms(1000)), "{name} took {:?}", start.elapsed());
        let line = format!("REQUEST_BODY_FILE: '{}' {reason}", path(name));
        ensure!(String::from_utf8_lossy(&answer.stderr).starts_with(&line), "{name}: no such line for the web server");
        server.log.wait_for(mark, &[&line], bar(ms(5000)))?;
        ensure!(server.log.since(mark).lines().count() == 1, "{name}: {}", server.log.since(mark));
    }
    // Valid files, served by the same worker: without CONTENT_LENGTH the file size counts, and an empty name means no
    // file.
    for (file, length) in [(path("body"), ""), (path("body"), "10")] {
        let body = ask(&with_file(&server, &file, length))?.body();
        ensure!(body == format!("{pid}0123456789"), "{length}: {body}");
    }
    ensure!(ask(&with_file(&server, "", "0"))?.body() == pid, "an empty name");
    server.stop()
}
