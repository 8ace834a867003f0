//! REQUEST_BODY_FILE: bodies in files, behind nginx as docs/uploads.md configures it, and files that can't be a body.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::nginx::Nginx;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Tells what it got, and which files of PHP's own are open meanwhile.
const TELLS: &str = r#"<?php
$input = fopen('php://input', 'rb');
$raw = hash('crc32b', stream_get_contents($input));
$size = ftell($input);
$seeks = [fseek($input, -3, SEEK_END), bin2hex(fread($input, 10)), fseek($input, 1), bin2hex(fread($input, 3)), feof($input)];
$files = [];
foreach ($_FILES as $name => $file) {
    $there = is_uploaded_file($file['tmp_name']) && str_starts_with($file['tmp_name'], ini_get('upload_tmp_dir'));
    $moved = move_uploaded_file($file['tmp_name'], ini_get('upload_tmp_dir') . '/moved');
    $files[$name] = [$file['name'], $file['size'], $there, $moved, hash_file('crc32b', ini_get('upload_tmp_dir') . '/moved')];
}
$copies = [];
foreach (scandir('/proc/self/fd') as $fd) {
    $target = is_numeric($fd) ? @readlink("/proc/self/fd/$fd") : '';
    if (str_starts_with($target, ini_get('upload_tmp_dir'))) $copies[] = $target;
}
echo json_encode([
    'method' => $_SERVER['REQUEST_METHOD'], 'length' => $_SERVER['CONTENT_LENGTH'], 'named' => $_SERVER['REQUEST_BODY_FILE'] !== '',
    'post' => array_map(fn ($value) => strlen($value), $_POST), 'files' => $files,
    'raw' => [$size, $raw], 'seeks' => $seeks, 'copies' => count($copies),
]);
"#;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const RAW: &str = "Content-Type: application/octet-stream\r\n";
const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=edge\r\n";

/// The nginx configuration of docs/uploads.md, with this test's places.
fn documented(pages: &Sandbox, pool: &Address, bodies: &Path) -> Outcome<Nginx> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/uploads.md"))?;
    let sample = text.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut sample = sample.ok_or("no sample in docs/uploads.md")?.to_owned();
    let Address::Unix(socket) = pool else { return Err("not on a path".into()) };
    let (socket, www) = (format!("unix:{}", socket.display()), pages.file("www").display().to_string());
    let bodies = bodies.display().to_string();
    let places = [
        ("/dev/shm/client_body", bodies.as_str()),
        ("/srv/site", &www),
        ("unix:/run/php-fpm.sock", &socket),
        ("include fastcgi_params", "include /etc/nginx/fastcgi_params"),
    ];
    for (documented, ours) in places {
        ensure!(sample.matches(documented).count() == 1, "{documented} isn't once in the sample");
        sample = sample.replace(documented, ours);
    }
    Nginx::start_with(|listen| sample.replace("listen 80;", &format!("listen {listen};")))
}

/// A directory on tmpfs, where nginx's and the pool's user may go.
fn in_memory() -> Outcome<TempDir> {
    let directory = tempfile::Builder::new().prefix("cgi-fpm-test.").tempdir_in("/dev/shm")?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn crc32(bytes: &[u8]) -> String {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    format!("{:08x}", !crc)
}

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
    let Some(target) = Target::find_ours("uploads::what_scripts_see_through_nginx") else { return Ok(()) };
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
        // The parser has read a multipart form that was posted: there is no php://input.
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

/// php-fpm reads the file, too. The only difference is its copy of it.
#[test]
fn the_same_under_php_fpm_but_for_the_copy() -> Outcome {
    let Some(target) = Target::find_ours("uploads::the_same_under_php_fpm_but_for_the_copy") else { return Ok(()) };
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

/// nginx reads a chunked body first. And HEAD has no file.
#[test]
fn head_and_chunked_bodies() -> Outcome {
    let Some(target) = Target::find("uploads::head_and_chunked_bodies") else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    server.sandbox.put("www/tells.php", TELLS)?;
    let memory = in_memory()?;
    let nginx = documented(&server.sandbox, &server.address, &memory.path().join("bodies"))?;
    let mut web = nginx.client(ms(20_000));
    web.send("HEAD", "/tells.php", "", b"")?.expect(200)?;
    let chunked = "Transfer-Encoding: chunked\r\n";
    for body in [&b"a=1&b=two"[..], b"", format!("long={}", "v".repeat(1 << 20)).as_bytes()] {
        let mut chunks: Vec<u8> = Vec::new();
        for chunk in body.chunks(100_000) {
            chunks.extend(format!("{:x}\r\n", chunk.len()).bytes());
            chunks.extend(chunk);
            chunks.extend(b"\r\n");
        }
        chunks.extend(b"0\r\n\r\n");
        let reply = web.send("POST", "/tells.php", &format!("{FORM}{chunked}"), &chunks)?.expect(200)?;
        let seen: Value = serde_json::from_str(&reply.text())?;
        ensure!(seen["raw"] == json!([body.len(), crc32(body)]), "{} bytes: {seen}", body.len());
        ensure!(seen["length"] == json!(body.len().to_string()) || body.is_empty(), "{} bytes: {seen}", body.len());
    }
    server.stop()
}

/// Where nginx isn't told to write every body to a file, small ones would be lost without a word.
#[test]
fn a_body_that_is_nowhere() -> Outcome {
    let Some(target) = Target::find_ours("uploads::a_body_that_is_nowhere") else { return Ok(()) };
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
    let line = "REQUEST_BODY_FILE: '' names no file, and no body came where CONTENT_LENGTH says 9: nginx needs client_body_in_file_only";
    ensure!(nginx.log().text().contains(line), "{}", nginx.log().text());
    web.send("POST", "/hello.php", FORM, b"")?.expect(200)?;
    web.get("/hello.php")?.expect(200)?;
    // A body that came on the connection is one.
    let sent = Request::post(&server.sandbox.page("form.php"), b"name=x").param("REQUEST_BODY_FILE", "");
    let body = Client::connect(&server.address, ms(5000))?.ask(&sent)?.body();
    ensure!(body == r#"{"name":"x"}"#, "{body}");
    server.stop()
}

/// nginx names files from outside of the pool's root.
#[test]
fn a_chrooted_pool() -> Outcome {
    let Some(target) = Target::find_as_root("uploads::a_chrooted_pool").filter(Target::is_ours) else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let jail = sandbox.path().display().to_string();
    let setup = Setup::new(1).pool(&format!("chroot = {jail}")).pool("catch_workers_output = yes");
    let server = Server::start_in(sandbox, &target, &setup.ini("upload_tmp_dir = /out"))?;
    server.sandbox.put("www/raw.php", "<?php echo file_get_contents('php://input'), ' ', getmypid();")?;
    let Address::Unix(socket) = &server.address else { return Err("not on a path".into()) };
    let start = |bodies: &Path| {
        Nginx::start_with(|listen| {
            format!(
                "client_body_temp_path {};
                server {{ listen {listen}; location / {{
                    client_body_in_file_only clean; fastcgi_pass_request_body off; include /etc/nginx/fastcgi_params;
                    fastcgi_param REQUEST_BODY_FILE $request_body_file; fastcgi_param SCRIPT_FILENAME /www$fastcgi_script_name;
                    fastcgi_pass unix:{};
                }} }}",
                bodies.display(),
                socket.display()
            )
        })
    };
    let inside = start(&server.sandbox.file("bodies"))?;
    let text = inside.client(ms(10_000)).send("POST", "/raw.php", RAW, b"in the jail")?.expect(200)?.text();
    ensure!(text.starts_with("in the jail "), "{text}");
    let memory = in_memory()?;
    let outside = start(&memory.path().join("bodies"))?;
    outside.client(ms(10_000)).send("POST", "/raw.php", RAW, b"outside")?.expect(500)?;
    let said = outside.log().text();
    let cure = format!("let the web server put bodies below the pool's chroot {jail}");
    ensure!(said.contains(&cure), "{said}");
    server.stop()
}

/// nginx's files are its user's alone: a pool of another user says so, in one line, here and there.
#[test]
fn a_pool_of_another_user() -> Outcome {
    let Some(target) = Target::find_as_root("uploads::a_pool_of_another_user").filter(Target::is_ours) else {
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
    let line =
        "can't be read by the pool's user: nginx lets its own user alone read bodies, so give the pool that user";
    server.log.wait_for(mark, &[line; 4], bar(ms(5000)))?;
    let (here, there) = (server.log.since(mark), nginx.log().text());
    ensure!(here.lines().count() == 4, "{here}");
    ensure!(there.lines().filter(|told| told.contains(line)).count() == 4 && there.lines().count() == 4, "{there}");
    server.stop()
}

/// A page that would tell that it ran, and a request for it with that body file.
fn with_file(server: &Server, file: &str, length: &str) -> Request {
    let page =
        Request::get(&server.sandbox.page("ran.php")).param("REQUEST_METHOD", "POST").param("REQUEST_BODY_FILE", file);
    page.param("CONTENT_TYPE", "text/plain").param("CONTENT_LENGTH", length)
}

#[test]
fn files_that_cannot_be_a_body() -> Outcome {
    let Some(target) = Target::find_ours("uploads::files_that_cannot_be_a_body") else { return Ok(()) };
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
        ("missing", "10", "doesn't exist here: the web server must run on this machine"),
        ("", "10", "is not a regular file: name the file"),
        ("fifo", "10", "is not a regular file"),
        ("fifo", "", "is not a regular file"),
        ("elsewhere", "10", "is a symbolic link: name the file itself"),
        ("link", "10", "is a symbolic link"),
        ("body", "11", "has 10 bytes where CONTENT_LENGTH says 11"),
        ("body", "9", "has 10 bytes where CONTENT_LENGTH says 9"),
        ("body", "0", "has 10 bytes where CONTENT_LENGTH says 0"),
        ("body", "-1", "has 10 bytes where CONTENT_LENGTH says -1"),
    ];
    // Root may read what others may not.
    let forbidden = ("forbidden", "10", "can't be read by the pool's user");
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
    // Good ones, served by the same worker: the size counts where no length is given, and an empty name is none.
    for (file, length) in [(path("body"), ""), (path("body"), "10")] {
        let body = ask(&with_file(&server, &file, length))?.body();
        ensure!(body == format!("{pid}0123456789"), "{length}: {body}");
    }
    ensure!(ask(&with_file(&server, "", "0"))?.body() == pid, "an empty name");
    server.stop()
}

/// After its answer a script can still read the body, although nginx has removed the file.
#[test]
fn a_finished_request_still_has_its_body() -> Outcome {
    let Some(target) = Target::find_ours("uploads::a_finished_request_still_has_its_body") else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let done = server.sandbox.file("out/done");
    server.sandbox.put(
        "www/late.php",
        &format!(
            "<?php fastcgi_finish_request();
            for ($i = 0; $i < 1000 && file_exists($_SERVER['REQUEST_BODY_FILE']); $i++) {{ usleep(5000); clearstatcache(); }}
            $there = file_exists($_SERVER['REQUEST_BODY_FILE']) ? 'there' : 'gone';
            file_put_contents('{0}.new', $there . ' ' . hash('crc32b', file_get_contents('php://input'))); rename('{0}.new', '{0}');",
            done.display()
        ),
    )?;
    let memory = in_memory()?;
    let nginx = documented(&server.sandbox, &server.address, &memory.path().join("bodies"))?;
    let body = bytes(1 << 20);
    let mut web = nginx.client(ms(10_000));
    web.send("POST", "/late.php", RAW, &body)?.expect(200)?;
    wait_until("the script is over", bar(ms(10_000)), || done.exists())?;
    let seen = fs::read_to_string(done)?;
    ensure!(seen == format!("gone {}", crc32(&body)), "{seen}");
    server.stop()
}
