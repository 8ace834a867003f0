//! `process.php_ini`, `process.php` and the other directives that give a pool its own php.ini or its own PHP.
#![forbid(unsafe_code)]

mod broken;
mod changing;
mod ini;
mod inquiry;
mod refused;
mod versions;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

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

/// The version of that pool's PHP, such as `8.4`.
fn version(server: &Server, pool: &str) -> Outcome<String> {
    let facts = ask(server, pool, "facts.php")?;
    let version = facts.strip_prefix("[\"").and_then(|rest| rest.split('"').next()).unwrap_or_default();
    ensure!(version.starts_with("8."), "pool {pool}: {facts}");
    Ok(version.to_owned())
}

/// The facts of that pool are these.
fn expect(server: &Server, pool: &str, wanted: &str) -> Outcome {
    let seen = ask(server, pool, "facts.php")?;
    ensure!(seen == wanted, "pool {pool}: {seen}\nwanted: {wanted}");
    Ok(())
}

/// A program that looks like a patched php-cgi and does this instead.
fn fake(sandbox: &Sandbox, script: &str) -> Outcome {
    let marks = "# X-Powered-By: PHP/8.4.1\n# cgi_fpm_main\0\n";
    sandbox.put("fake", &format!("#!/bin/sh\n{script}\nexit 0\n{marks}"))?;
    Ok(fs::set_permissions(sandbox.file("fake"), Permissions::from_mode(0o755))?)
}

/// Replaces the pools of a running server's configuration.
fn configure(server: &Server, pools: &[String]) -> Outcome {
    server.sandbox.configure(&format!("{GLOBAL}{}", pools.concat()))
}
