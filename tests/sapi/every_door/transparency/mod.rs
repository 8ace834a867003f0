//! The transparency page: a script sees the same as under php-fpm, with four web servers. cgi-fpm and php-fpm serve
//! one after the other at the same address, so that all names are equal.
#![forbid(unsafe_code)]

mod allowed;
mod requests;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use testkit::clock::ms;
use testkit::front::{Front, Kind};
use testkit::http::Reply;
use testkit::sandbox::{Sandbox, free_port};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, skip, turn};

use allowed::Allowance;
use requests::{CHUNKED_PATH, REQUESTS};

#[test]
fn behind_nginx() -> Outcome {
    same(Kind::Nginx, &common())?;
    same(Kind::NginxBare, &common())
}

#[test]
fn behind_apache_handler() -> Outcome {
    same(Kind::ApacheHandler, &common())?;
    same(Kind::ApacheSetEnv, &common())
}

#[test]
fn behind_apache_proxy() -> Outcome {
    same(Kind::ApacheMatch, &common())?;
    same(Kind::ApacheTcp, &common())?;
    same(Kind::ApacheBalancer, &common())
}

#[test]
fn behind_lighttpd() -> Outcome {
    same(Kind::Lighttpd, &common())
}

#[test]
fn behind_caddy() -> Outcome {
    same(Kind::Caddy, &common())?;
    same(Kind::CaddyPhp, &common())
}

#[test]
fn without_path_info_fixing() -> Outcome {
    let setup = common().ini("cgi.fix_pathinfo = 0").pool("clear_env = no");
    same(Kind::Nginx, &setup)?;
    same(Kind::ApacheMatch, &setup)
}

#[test]
fn with_other_settings() -> Outcome {
    let pool = [
        "php_admin_value[disable_classes] = ArrayIterator,SplStack",
        "php_admin_value[extension] = dl_test.so",
        "php_value[no.such.entry] = 1",
        "php_admin_flag[register_argc_argv] = off",
        "php_flag[output_buffering] = on",
        "php_admin_value[auto_prepend_file] = WWW/prepended.php",
        "php_value[auto_append_file] = WWW/hello.php",
        "php_admin_value[open_basedir] = /",
        "php_admin_flag[expose_php] = off",
        "php_admin_flag[opcache.enable] = off",
        "php_admin_flag[cgi.nph] = on",
        "php_admin_flag[cgi.rfc2616_headers] = on",
        "php_admin_value[fastcgi.error_header] = \"HTTP/1.1 550 Server Made Big Boo\"",
        "php_admin_flag[fastcgi.logging] = off",
        "php_admin_value[variables_order] = GPS",
        "php_admin_value[user_ini.filename] = .other.ini",
        "env[USER] = anyone",
        "env[FROM_POOL] = once more",
        "php_value[precision] = 11",
        "php_flag[precision] = on",
        "php_value[memory_limit] = 88M",
        "php_admin_value[memory_limit] = 77M",
        "php_admin_value[disable_functions] = escapeshellcmd,fpm_get_status, getallheaders2",
        "env[HOME] = $HOME",
        "security.limit_extensions =",
        "chdir = /",
        "rlimit_files = 512",
        "rlimit_core = 4096",
        "process.priority = 3",
    ];
    let setup = pool.into_iter().fold(common(), |setup, line| setup.pool(line));
    // Without root it is ignored, and so is the process.priority above.
    let setup = if as_root() { setup } else { setup.pool("chroot = WWW/sub") };
    let setup = setup.ini("[PATH=WWW]").ini("auto_detect_line_endings = 0").ini("max_input_vars = 55");
    same(Kind::Nginx, &setup)?;
    same(Kind::ApacheHandler, &setup)
}

#[test]
fn in_a_chroot() -> Outcome {
    if !as_root() {
        skip("needs root");
        return Ok(());
    }
    let setup = common().pool("chroot = WWW").pool("php_admin_value[upload_tmp_dir] = /uploads");
    same(Kind::NginxChroot, &setup)?;
    same(Kind::NginxChrootOutside, &setup.pool("chdir = /sub"))
}

/// A pool with a directive of every kind.
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

/// Both serve the same requests; all answers are equal except for what `allowed` names.
fn same(kind: Kind, setup: &Setup) -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Sandbox::new()?;
    furnish(&stage)?;
    let pool = match kind {
        Kind::ApacheTcp => Address::Tcp(([127, 0, 0, 1], free_port()?).into()),
        _ => Address::Unix(stage.file("fpm.sock")),
    };
    let front = Front::start(kind, &stage.file("www"), &pool)?;
    let setup = located(setup, &stage);
    let mut answers = Vec::new();
    for target in [&target, &target.partner()] {
        let server = Server::start_at(pool.clone(), Sandbox::new()?, target, &setup)?;
        answers.push(ask_all(&front, &server, kind)?);
        server.stop()?;
    }
    let allowance = Allowance::new(&target, kind, &setup);
    let [ours, stock] = &answers[..] else { return Err("two rounds".into()) };
    let pairs = ours.iter().zip(stock).map(|((what, ours), (_, stock))| (what, ours, stock));
    let different: Vec<String> = pairs
        .filter_map(|(what, ours, stock)| {
            let difference = difference(&allowance.comparable(ours), &allowance.comparable(stock))?;
            Some(format!("--- {what}\n{difference}"))
        })
        .collect();
    let some = different.iter().take(8).map(String::as_str).collect::<Vec<_>>().join("\n");
    ensure!(different.is_empty(), "{kind:?}: {} answers differ\n{some}\n{}", different.len(), front.errors());
    Ok(())
}

fn furnish(stage: &Sandbox) -> Outcome {
    let page = fs::read_to_string(stage.page("transparency.php"))?;
    for directory in ["sub", "sub/deep", "a b", "valued", "directory.php", "uploads"] {
        fs::create_dir(stage.page(directory))?;
        stage.put(&format!("www/{directory}/transparency.php"), &page)?;
        stage.put(&format!("www/{directory}/index.php"), &page)?;
    }
    fs::set_permissions(stage.page("uploads"), fs::Permissions::from_mode(0o777))?;
    stage.put("www/sub/.user.ini", "precision = 7\nmemory_limit = 98M\nuser_agent = sub\n")?;
    stage.put("www/sub/deep/.user.ini", "user_agent = deep\nmax_input_time = 3\nallow_url_fopen = 0\n")?;
    stage.put("www/sub/.other.ini", "user_agent = other\n")?;
    stage.put("www/forbidden.txt", "<?php echo 'no';")?;
    stage.put("www/locked.php", "<?php echo 'no';")?;
    fs::set_permissions(stage.page("locked.php"), fs::Permissions::from_mode(0o000))?;
    stage.put("www/prepended.php", "<?php header('X-Prepended: yes'); echo $_SERVER['PHP_SELF'], \"\\n\";")?;
    stage.put("www/broken.php", "<?php\necho 'before';\n}\n")?;
    symlink("sub/transparency.php", stage.page("link.php"))?;
    symlink("nowhere", stage.page("dangling.php"))?;
    Ok(())
}

fn located(setup: &Setup, stage: &Sandbox) -> Setup {
    let www = stage.file("www").display().to_string();
    let place = |line: &String| line.replace("WWW", &www);
    Setup { pool: setup.pool.iter().map(place).collect(), ini: setup.ini.iter().map(place).collect(), ..setup.clone() }
}

fn ask_all(front: &Front, server: &Server, kind: Kind) -> Outcome<Vec<(String, String)>> {
    let mut told = Vec::new();
    let unfit = |path: &str| kind.is_caddy() && path == CHUNKED_PATH;
    for (method, path, headers, body) in REQUESTS.into_iter().filter(|(_, path, ..)| !unfit(path)) {
        let reply = front.client(ms(10_000)).send(method, path, headers, body);
        let what = format!("{method} {path} {headers:?}");
        let reply = reply.map_err(|e| format!("{kind:?}, {what}: {e}; {}", front.errors()))?;
        ensure!(reply.status != 502 && reply.status != 503, "{kind:?}, {what}: {}; {}", reply.status, front.errors());
        // The names in these parts differ in length: PHP_BINARY, and options of Debian's build.
        let ignored = if path.contains("part=") { ["date", "content-length"] } else { ["date", ""] };
        told.push((what, text(&reply, &ignored, server.sandbox.path())));
    }
    Ok(told)
}

/// The answer as text, with the server's own directory replaced by one name.
fn text(reply: &Reply, ignored: &[&str], dir: &Path) -> String {
    let mut text = format!("{}\n", reply.status);
    for (name, value) in reply.headers.iter().filter(|(name, _)| !ignored.contains(&&**name)) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push('\n');
    text.extend(reply.body.iter().map(|&byte| char::from(byte)));
    text.replace(&dir.display().to_string(), "DIR")
}

/// The first line that differs.
fn difference(ours: &[String], stock: &[String]) -> Option<String> {
    let at = (0..ours.len().max(stock.len())).find(|at| ours.get(*at) != stock.get(*at))?;
    let near = |lines: &[String]| {
        lines.iter().skip(at.saturating_sub(1)).take(4).map(|line| format!("\n  {line:.400}")).collect::<String>()
    };
    Some(format!("ours:{}\nphp-fpm:{}", near(ours), near(stock)))
}
