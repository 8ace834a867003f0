//! The user, directory and limits of workers: compared with stock php-fpm, with root's rights and without; and what
//! happens if they cannot be set.
#![forbid(unsafe_code)]

mod confined;
mod preloaded;
mod process_limit;
mod refused;
mod same;

use std::path::Path;

use testkit::Outcome;
use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::stream::Address;

/// The section of a pool of one worker, with a socket of its name in the sandbox that every user may use.
fn section(sandbox: &Sandbox, name: &str, lines: &str) -> String {
    let socket = sandbox.file(&format!("{name}.sock"));
    let common = "listen.mode = 0666\npm = static\npm.max_children = 1";
    format!("[{name}]\nlisten = {}\n{common}\n{lines}\n", socket.display())
}

/// The output of a script about the pool's worker.
fn facts(sandbox: &Sandbox, pool: &str, page: &Path) -> Outcome<String> {
    let address = Address::Unix(sandbox.file(&format!("{pool}.sock")));
    let text = ask_once(&address, &Request::get(page), ms(5000)).map_err(|e| format!("pool {pool}: {e}"))?;
    Ok(text.replace(&sandbox.path().display().to_string(), "{sandbox}"))
}
