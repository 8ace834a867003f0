//! As in a container: a plain user without any capability, with everything read-only but one directory.
#![forbid(unsafe_code)]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::User;
use testkit::around::Around;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, skip, turn};

const LIMIT: Duration = Duration::from_secs(10);

/// Makes everything read-only except the directory, and checks this before it executes anything else.
const CONFINE: &str = r#"set -e
mount --make-rprivate /
mount --bind "$RUN" "$RUN"
while read -r _ _ _ _ place _; do
	[ "$place" = "$RUN" ] || mount -o remount,bind,ro "$place" 2>/dev/null || :
done </proc/self/mountinfo
for place in / /tmp /var /usr /etc; do
	! touch "$place/cgi-fpm-test" 2>/dev/null || { echo "$place can be written to"; exit 1; }
done
exec setpriv --reuid="$ID" --regid="$ID" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@""#;

/// The words before the server's; none if such a place cannot be made.
fn confined(sandbox: &Sandbox, user: &User) -> Outcome<Option<Around>> {
    let before: Vec<String> = ["unshare", "--mount", "sh", "-c", CONFINE, "sh"].map(str::to_owned).into();
    let environment = [("RUN", sandbox.path().display().to_string()), ("ID", user.uid.to_string())];
    let environment: Vec<_> = environment.map(|(name, value)| (name.to_owned(), value)).into();
    let mut trial = Command::new("unshare");
    let output = trial.args(["--mount", "true"]).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        skip(&format!("no mount namespace here: {}", String::from_utf8_lossy(&output.stderr)));
        return Ok(None);
    }
    Ok(Some(Around { before, environment, ..Around::default() }))
}

/// Start, requests, a reload, log re-opening, a refused reload, and an end that leaves nothing.
#[test]
fn life_without_privileges() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    if !as_root() {
        skip("it takes root to make a place without");
        return Ok(());
    }
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let user = User::from_name("nobody")?.ok_or("no user nobody")?;
    for entry in fs::read_dir(sandbox.path())? {
        nix::unistd::chown(&entry?.path(), Some(user.uid), None)?;
    }
    nix::unistd::chown(sandbox.path(), Some(user.uid), None)?;
    let Some(around) = confined(&sandbox, &user)? else { return Ok(()) };
    fs::write(sandbox.page("writes.php"), WRITES)?;
    let address = Address::Unix(sandbox.file("fpm.sock"));
    let setup = Setup::new(2).pool("catch_workers_output = yes\nlisten.owner = nobody\nlisten.group = nogroup");
    // Otherwise opcache creates its lock in /tmp.
    let setup = setup.ini(&format!("opcache.lockfile_path = {}", sandbox.file("out").display()));
    let server = Server::start_amid(around, address, sandbox, &target, &setup)?;
    for process in server.supervisor.tree() {
        let caps = ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"].map(|set| process.status(set).concat());
        ensure!(caps.iter().all(|set| set == "0000000000000000"), "{}: {caps:?}", process.title());
        ensure!(process.status("NoNewPrivs") == ["1"], "{} may gain privileges", process.title());
        ensure!(process.status("Uid") == vec![user.uid.to_string(); 4], "{:?}", process.status("Uid"));
    }
    serves(&server)?;
    server.reload()?;
    serves(&server)?;
    signals(&server, target.is_ours())?;
    let place = server.sandbox.path().to_owned();
    server.supervisor.signal(Signal::SIGQUIT);
    wait_until("the end", LIMIT, || !server.supervisor.lives())?;
    let left = ["fpm.sock", "fpm.pid"].into_iter().find(|file| place.join(file).exists());
    ensure!(left.is_none(), "{left:?} still exists");
    server.stop()
}

/// A file in the directory, and one outside of it.
const WRITES: &str = "<?php
echo var_export((bool) @file_put_contents(__DIR__ . '/../out/file', 'x'), true), ' ';
echo var_export((bool) @file_put_contents('/var/tmp/cgi-fpm-test', 'x'), true);";

fn serves(server: &Server) -> Outcome {
    for (page, wanted) in [("hello.php", "hello"), ("writes.php", "true false")] {
        let body = ask_once(&server.address, &Request::get(&server.sandbox.page(page)), LIMIT)?;
        ensure!(body == wanted, "{page}: {body:?}");
    }
    Ok(())
}

fn signals(server: &Server, ours: bool) -> Outcome {
    fs::rename(server.sandbox.file("fpm.log"), server.sandbox.file("fpm.log.1"))?;
    server.supervisor.signal(Signal::SIGUSR1);
    wait_until("the new log", LIMIT, || server.log.count("error log file re-opened") == 1)?;
    if ours {
        server.sandbox.put("fpm.conf", &format!("{}no.such.directive = 1\n", server.conf))?;
        let mark = server.log.mark();
        server.supervisor.signal(Signal::SIGUSR2);
        server.log.wait_for(mark, &["reload refused"], LIMIT)?;
        serves(server)?;
    }
    std::thread::sleep(ms(50));
    ensure!(server.supervisor.lives(), "it has ended");
    Ok(())
}
