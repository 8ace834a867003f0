//! REQUEST_BODY_FILE: bodies in files, with nginx as docs/uploads.md configures it, and files that cannot be a body.
#![forbid(unsafe_code)]

mod refused;
mod same;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::bytes::crc32;
use testkit::clock::{bar, ms, wait_until};
use testkit::nginx::Nginx;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Reports what it received, and which files PHP itself has open meanwhile.
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

/// The nginx configuration of docs/uploads.md, with the paths of this test.
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

/// A directory on tmpfs that nginx's and the pool's user may enter.
fn in_memory() -> Outcome<TempDir> {
    let directory = tempfile::Builder::new().prefix("cgi-fpm-test.").tempdir_in("/dev/shm")?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// nginx reads a chunked body completely first. HEAD has no file.
#[test]
fn head_and_chunked_bodies() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
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

/// nginx names files outside of the pool's root.
#[test]
fn a_chrooted_pool() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
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
    let cure = format!("let the web server write bodies to a directory in the pool's chroot {jail}");
    ensure!(said.contains(&cure), "{said}");
    server.stop()
}

/// After its answer a script can still read the body, although nginx has removed the file.
#[test]
fn a_finished_request_still_has_its_body() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
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
