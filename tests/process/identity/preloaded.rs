//! The first code of a pool's user is a preloaded script. It runs as the user, without any capability, in the pool's
//! root directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::same::capabilities;

/// Says who runs it and what it can read, and then waits for the test, which looks at the process from outside.
const PRELOAD: &str = r#"<?php
file_put_contents('{out}/seen', json_encode([posix_getuid(), posix_getpid(), @file_get_contents('{closed}')], 64));
for ($i = 0; $i < 1000 && !file_exists('{out}/go'); $i++) { usleep(10000); clearstatcache(); }
"#;

/// A pool's lines, the directory that its scripts see as the sandbox, and the root directory of its zygote.
type Case = (&'static str, &'static str, &'static str);

const CASES: [Case; 5] = [
    ("", "{sandbox}", "/"),
    ("chdir = {sandbox}/closed/inner", "{sandbox}", "/"),
    ("process.priority = -3\nrlimit_core = unlimited\nrlimit_files = 2000000", "{sandbox}", "/"),
    ("chroot = {sandbox}", "", "{sandbox}"),
    ("chroot = {sandbox}\nchdir = /closed/inner\nprocess.priority = -3", "", "{sandbox}"),
];

#[test]
fn no_capability_is_left() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (lines, seen_as, root) in CASES {
        one(&target, lines, seen_as, root).map_err(|e| format!("{lines:?}: {e}"))?;
    }
    Ok(())
}

fn one(target: &Target, lines: &str, seen_as: &str, root: &str) -> Outcome {
    let sandbox = Sandbox::new()?;
    let dir = sandbox.path().display().to_string();
    fs::create_dir_all(sandbox.file("closed/inner"))?;
    sandbox.put("closed/secret", "SECRET")?;
    fs::set_permissions(sandbox.file("closed"), Permissions::from_mode(0o700))?;
    fs::set_permissions(sandbox.file("out"), Permissions::from_mode(0o1777))?;
    let inside = seen_as.replace("{sandbox}", &dir);
    let script =
        PRELOAD.replace("{out}", &format!("{inside}/out")).replace("{closed}", &format!("{inside}/closed/secret"));
    sandbox.put("www/preload.php", &script)?;
    let setup = Setup::new(1)
        .ini(&format!("opcache.preload = {inside}/www/preload.php"))
        .pool(&lines.replace("{sandbox}", &dir));
    let (seen, go) = (sandbox.file("out/seen"), sandbox.file("out/go"));
    let watch = std::thread::spawn(move || -> Result<_, String> {
        let found = look(&seen).map_err(|e| e.to_string());
        fs::write(&go, "").map_err(|e| e.to_string())?;
        found
    });
    let server = Server::start_in(sandbox, target, &setup);
    let found = watch.join().map_err(|_| "the watch has failed")?;
    let server = server?;
    let (uid, secret, held, at) = found?;
    ensure!(uid == 33, "it runs as {uid}");
    ensure!(secret == false, "it reads a file of root's: {secret}");
    ensure!(held == [0; 4], "it has capabilities: {held:?}");
    ensure!(at == root.replace("{sandbox}", &dir), "its root directory is {at}");
    let page = format!("{inside}/www/hello.php");
    let hello = ask_once(&server.address, &Request::get(page.as_ref()), ms(5000))?;
    ensure!(hello == "hello", "{hello}");
    server.stop()
}

/// Who runs the script, what it reads, the capabilities of its process, and the root directory of that.
type Found = (u64, serde_json::Value, [u64; 4], String);

fn look(seen: &std::path::Path) -> Outcome<Found> {
    let text = || fs::read_to_string(seen).unwrap_or_default();
    wait_until("the preloaded script", ms(8000), || text().ends_with(']'))?;
    let said: serde_json::Value = serde_json::from_str(&text())?;
    let pid = said[1].as_i64().and_then(|pid| i32::try_from(pid).ok()).ok_or("no pid")?;
    let process = testkit::process::Process::find(pid).ok_or("the zygote has gone")?;
    let mut held = [0; 4];
    for (at, set) in held.iter_mut().zip(["CapPrm", "CapEff", "CapInh", "CapAmb"]) {
        *at = capabilities(process, set)?;
    }
    let root = fs::read_link(format!("/proc/{pid}/root"))?.display().to_string();
    Ok((said[0].as_u64().unwrap_or(0), said[2].clone(), held, root))
}
