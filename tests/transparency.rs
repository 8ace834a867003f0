//! The transparency page: all that a script can see equals what it sees under php-fpm, behind four web servers. Ours and
//! php-fpm serve one after the other on the same socket, so that all names are the same.
#![forbid(unsafe_code)]

use std::path::Path;

use testkit::clock::ms;
use testkit::front::{Front, Kind};
use testkit::http::Reply;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, as_root, say};
use testkit::{Outcome, ensure, turn};

/// A request: method, path, headers, body.
type Asked = (&'static str, &'static str, &'static str, &'static [u8]);

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const UPLOAD: &[u8] = b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nfile\r\n\
    --B\r\nContent-Disposition: form-data; name=\"x[y]\"\r\n\r\n1\r\n--B--\r\n";

const REQUESTS: [Asked; 28] = [
    ("GET", "/transparency.php", "", b""),
    ("GET", "/transparency.php?a=1&b[]=2&c=%20x&d=%e4&info", "", b""),
    ("GET", "/transparency.php?one+two+%2Fthree", "", b""),
    ("GET", "/transparency.php?log", "", b""),
    ("GET", "/transparency.php?end=exit", "", b""),
    ("GET", "/transparency.php?end=fatal", "", b""),
    ("GET", "/transparency.php?end=finish", "", b""),
    ("HEAD", "/transparency.php", "", b""),
    ("POST", "/transparency.php?a=q", FORM, b"a=b&list[]=1&list[]=2&odd=%e4&x=%C3%A4"),
    ("POST", "/transparency.php", FORM, b""),
    ("POST", "/transparency.php", "Content-Type: multipart/form-data; boundary=B\r\n", UPLOAD),
    ("POST", "/transparency.php", "Content-Type: application/json\r\n", b"{\"a\": 1}"),
    ("PUT", "/transparency.php", "Content-Type: text/plain\r\n", b"put this"),
    ("DELETE", "/transparency.php", "", b""),
    ("OPTIONS", "/transparency.php", "", b""),
    ("GET", "/transparency.php", "Cookie: a=1; b[x]=2; c=%20; odd name=3\r\n", b""),
    ("GET", "/transparency.php", "Authorization: Basic dXNlcjpwYTpzcw==\r\n", b""),
    ("GET", "/transparency.php", "Authorization: Digest username=\"u\", realm=\"r\"\r\n", b""),
    ("GET", "/transparency.php", "Authorization: Bearer abc\r\n", b""),
    ("GET", "/transparency.php", "Proxy: http://evil/\r\nX-Odd: \u{e9}<>\"\r\nX-Twice: 1\r\nX-Twice: 2\r\n", b""),
    ("GET", "/transparency.php/path/info?x=1", "", b""),
    ("GET", "/transparency.php/a%20b/c%2fd", "", b""),
    ("GET", "/sub/transparency.php", "", b""),
    ("GET", "/missing.php", "", b""),
    ("GET", "/missing.php/x", "", b""),
    ("GET", "/forbidden.txt", "", b""),
    ("GET", "/broken.php", "", b""),
    ("GET", "/hello.php", "", b""),
];

#[test]
fn behind_nginx() -> Outcome {
    same("behind_nginx", Kind::Nginx, &common())
}

#[test]
fn behind_apache_handler() -> Outcome {
    same("behind_apache_handler", Kind::ApacheHandler, &common())
}

#[test]
fn behind_apache_match() -> Outcome {
    same("behind_apache_match", Kind::ApacheMatch, &common())
}

#[test]
fn behind_lighttpd() -> Outcome {
    same("behind_lighttpd", Kind::Lighttpd, &common())
}

#[test]
fn behind_caddy() -> Outcome {
    same("behind_caddy", Kind::Caddy, &common())
}

#[test]
fn without_path_info_fixing() -> Outcome {
    let setup = common().ini("cgi.fix_pathinfo = 0").pool("clear_env = no");
    same("without_path_info_fixing", Kind::Nginx, &setup)?;
    same("without_path_info_fixing", Kind::ApacheMatch, &setup)
}

#[test]
fn in_a_chroot() -> Outcome {
    if !as_root() {
        say("skipped in_a_chroot: needs root");
        return Ok(());
    }
    same("in_a_chroot", Kind::NginxChroot, &common().pool("chroot = WWW"))
}

/// A pool with something of everything.
fn common() -> Setup {
    let pool = [
        "php_value[precision] = 10",
        "php_admin_value[memory_limit] = 99M",
        "php_flag[html_errors] = on",
        "php_admin_flag[allow_url_include] = off",
        "php_value[error_reporting] = E_ALL & ~E_NOTICE",
        "php_admin_value[disable_functions] = escapeshellcmd",
        "env[FROM_POOL] = $pool here",
        "env[PATH] = /bin:/usr/bin",
        "security.limit_extensions = .php",
        "catch_workers_output = yes",
        "request_terminate_timeout = 60",
    ];
    let ini = ["max_execution_time = 20", "variables_order = EGPCS", "[HOST=localhost]", "max_input_time = 33"];
    let setup = ini.into_iter().fold(Setup::new(1), |setup, line| setup.ini(line));
    let setup = pool.into_iter().fold(setup, |setup, line| setup.pool(line));
    setup.ini("[PATH=WWW/sub]").ini("max_input_nesting_level = 44")
}

/// Both serve the same requests; everything is equal but what `allowed` names.
fn same(name: &str, kind: Kind, setup: &Setup) -> Outcome {
    let Some(target) = Target::find_ours(&format!("transparency::{name}")) else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Sandbox::new()?;
    prepare(&stage)?;
    let socket = stage.file("fpm.sock");
    let front = Front::start(kind, &stage.file("www"), &socket)?;
    let mut answers = Vec::new();
    for target in [&target, &target.partner()] {
        let setup = located(setup, &stage);
        let server = Server::start_at(Address::Unix(socket.clone()), Sandbox::new()?, target, &setup)?;
        answers.push(ask_all(&front, &server, kind)?);
        server.stop()?;
    }
    let clear_env = !setup.pool.iter().any(|line| line == "clear_env = no");
    let allowed =
        Allowance { order: kind == Kind::Caddy || !clear_env, build: target.partner().prefix == Path::new("/usr") };
    let [ours, stock] = &answers[..] else { return Err("two rounds".into()) };
    for ((what, ours), (_, stock)) in ours.iter().zip(stock) {
        if let Some(difference) = first_difference(ours, stock, allowed) {
            return Err(format!("{kind:?}, {what}: {difference}; {}", front.errors()).into());
        }
    }
    Ok(())
}

fn prepare(stage: &Sandbox) -> Outcome {
    let page = std::fs::read_to_string(stage.page("transparency.php"))?;
    std::fs::create_dir(stage.page("sub"))?;
    stage.put("www/sub/transparency.php", &page)?;
    stage.put("www/sub/.user.ini", "precision = 7\nmemory_limit = 1M\nuser_agent = sub\n")?;
    stage.put("www/forbidden.txt", "<?php echo 'no';")?;
    stage.put("www/broken.php", "<?php\necho 'before';\n}\n")
}

fn located(setup: &Setup, stage: &Sandbox) -> Setup {
    let www = stage.file("www").display().to_string();
    let place = |line: &String| line.replace("WWW", &www);
    Setup { pool: setup.pool.iter().map(place).collect(), ini: setup.ini.iter().map(place).collect(), ..setup.clone() }
}

fn ask_all(front: &Front, server: &Server, kind: Kind) -> Outcome<Vec<(String, String)>> {
    let mut told = Vec::new();
    let values: &[Asked] = if kind == Kind::Nginx { &[("GET", "/valued/x", "", b"")] } else { &[] };
    for (method, path, headers, body) in REQUESTS.iter().chain(values) {
        let reply = front.client(ms(10_000)).send(method, path, headers, body);
        let what = format!("{method} {path} {headers:?}");
        let reply = reply.map_err(|e| format!("{kind:?}, {what}: {e}; {}", front.errors()))?;
        ensure!(reply.status != 502 && reply.status != 503, "{kind:?}, {what}: {}; {}", reply.status, front.errors());
        told.push((what, text(&reply, server.sandbox.path())));
    }
    Ok(told)
}

/// The answer as text, the server's own directory by one name.
fn text(reply: &Reply, dir: &Path) -> String {
    let mut text = format!("{}\n", reply.status);
    let volatile = ["date", "connection", "keep-alive", "content-length", "transfer-encoding"];
    for (name, value) in reply.headers.iter().filter(|(name, _)| !volatile.contains(&name.as_str())) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push_str(&reply.text());
    text.replace(&dir.display().to_string(), "DIR")
}

/// What two sides may differ in.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    /// Caddy sends its variables in no order; so does dash, the wrapper's shell, hand on the environment, PWD changed.
    order: bool,
    /// Debian builds php-cgi with pcntl and other options than php-fpm.
    build: bool,
}

/// The first place where they differ, with what stands around it.
fn first_difference(ours: &str, stock: &str, allowed: Allowance) -> Option<String> {
    let (ours, stock) = (comparable(ours, allowed), comparable(stock, allowed));
    let at = (0..ours.len().max(stock.len())).find(|at| ours.get(*at) != stock.get(*at))?;
    let section = ours.iter().take(at + 1).rev().find_map(|line| line.strip_prefix("== ")).unwrap_or("the head");
    let near =
        |lines: &[String]| lines.iter().skip(at.saturating_sub(2)).take(8).cloned().collect::<Vec<_>>().join("\n  ");
    Some(format!("in {section}:\nours:\n  {}\nphp-fpm:\n  {}", near(&ours), near(&stock)))
}

/// Lines without what may differ; where the order may, sorted within each section.
fn comparable(text: &str, allowed: Allowance) -> Vec<String> {
    let lines = text.lines().filter(|line| !is_volatile(line) && !line.trim().is_empty());
    let lines = lines.filter(|line| !(allowed.order && named(line, "PWD") || allowed.build && is_of_build(line)));
    let mut lines: Vec<String> = lines.map(without_tail).collect();
    if allowed.order {
        lines.iter_mut().for_each(|line| *line = line.trim_end_matches(',').to_owned());
        lines.split_mut(|line| line.starts_with("== ")).for_each(<[String]>::sort);
    }
    lines
}

/// A line of that variable: in JSON, or in phpinfo() by itself or by the array that it is in.
fn named(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let cell = line.split('|').next().unwrap_or_default().trim();
    line.starts_with(&format!("\"{name}\":"))
        || [name, &format!("$_SERVER['{name}']"), &format!("$_ENV['{name}']")].contains(&cell)
}

fn is_of_build(line: &str) -> bool {
    [
        "pcntl",
        "Pcntl",
        "PHP_CONFIG_FILE_",
        "Configuration File (php.ini) Path",
        "\"chroot\"",
        "Configure Command",
        "Build Date",
    ]
    .iter()
    .any(|word| line.contains(word))
}

/// Behind Apache php-fpm's getenv() goes on behind the end of a value that it has cut.
fn without_tail(line: &str) -> String {
    match line.split_once("\\u0000") {
        Some((head, _)) => format!("{head}\","),
        None => line.to_owned(),
    }
}

/// Rows of phpinfo() that differ from process to process.
fn is_volatile(line: &str) -> bool {
    const VARIABLES: [&str; 3] = ["REMOTE_PORT", "REQUEST_TIME", "REQUEST_TIME_FLOAT"];
    const ROWS: [&str; 9] = [
        "Start time",
        "Used memory",
        "Free memory",
        "Wasted memory",
        "Interned Strings",
        "Cached",
        "Cache hits",
        "Cache misses",
        "Hash",
    ];
    line.contains('|')
        && (VARIABLES.iter().any(|name| named(line, name)) || ROWS.iter().any(|row| line.starts_with(row)))
}
