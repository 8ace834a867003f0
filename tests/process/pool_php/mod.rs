//! `process.php_ini`, `process.php` and the other directives that give a pool its own php.ini or its own PHP.
#![forbid(unsafe_code)]

mod broken;
mod ini;
mod inquiry;
mod refused;
mod versions;

use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure};

/// Version, php.ini, scanned files, and some settings.
const FACTS: &str = r#"<?php
$dir = dirname(__DIR__);
echo json_encode([
    PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION, str_replace($dir, '', (string) php_ini_loaded_file()),
    str_replace([$dir, "\n"], '', (string) php_ini_scanned_files()),
    ini_get('memory_limit'), ini_get('precision'), get_cfg_var('own.name'), ini_get('error_append_string'),
], JSON_UNESCAPED_SLASHES);
"#;

/// `[global]` of all servers here.
const GLOBAL: &str = "[global]\npid = {{DIR}}/fpm.pid\nerror_log = {{DIR}}/fpm.log\n";

/// The section of a static pool of one worker, with a socket of its name in the sandbox. As root it needs a user.
fn section(name: &str, user: &str, lines: &str) -> String {
    let user = if web_user().is_some() { format!("user = {user}\ngroup = {user}\n") } else { String::new() };
    let listen = format!("listen = {{{{DIR}}}}/{name}.sock\nlisten.mode = 0666\n");
    format!("[{name}]\n{user}{listen}pm = static\npm.max_children = 1\n{lines}\n")
}

/// A server with these pools; `first` is one of them.
fn start(target: &Target, sandbox: Sandbox, first: &str, pools: &[String]) -> Outcome<Server> {
    start_with(target, sandbox, first, pools, Setup::new(1))
}

fn start_with(target: &Target, sandbox: Sandbox, first: &str, pools: &[String], setup: Setup) -> Outcome<Server> {
    sandbox.put("www/facts.php", FACTS)?;
    let address = Address::Unix(sandbox.file(&format!("{first}.sock")));
    Server::start_at(address, sandbox, target, &setup.whole(&format!("{GLOBAL}{}", pools.concat())))
}

/// What a page prints in that pool.
fn ask(server: &Server, pool: &str, page: &str) -> Outcome<String> {
    let address = Address::Unix(server.sandbox.file(&format!("{pool}.sock")));
    ask_once(&address, &Request::get(&server.sandbox.page(page)), ms(10_000))
}

/// The facts of that pool are these.
fn expect(server: &Server, pool: &str, wanted: &str) -> Outcome {
    let seen = ask(server, pool, "facts.php")?;
    ensure!(seen == wanted, "pool {pool}: {seen}\nwanted: {wanted}");
    Ok(())
}

/// Replaces the pools of a running server's configuration.
fn configure(server: &Server, pools: &[String]) -> Outcome {
    let dir = server.sandbox.path().display().to_string();
    let text = format!("{GLOBAL}{}", pools.concat()).replace("{{DIR}}", &dir);
    server.sandbox.put("fpm.conf", &text)
}
