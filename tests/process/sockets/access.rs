//! Owner, group, mode and access list of unix sockets, and how a reload changes them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use testkit::clock::ms;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{reload_with, section};

/// Owner, group, mode and access list as php-fpm sets them.
#[test]
fn access() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let cases = [
        ("plain", "", "root root 660 user::rw- group::rw- other::---"),
        ("owner", "listen.owner = nobody\nlisten.mode = 0600", "nobody nogroup 600 user::rw- group::--- other::---"),
        (
            "numbers",
            "listen.owner = 1\nlisten.group = 2\nlisten.mode = 0666",
            "daemon bin 666 user::rw- group::rw- other::rw-",
        ),
        ("group", "listen.group = www-data", "root www-data 660 user::rw- group::rw- other::---"),
        (
            "list",
            "listen.acl_users = nobody,daemon\nlisten.acl_groups = bin\nlisten.mode = 0600",
            "root root 660 user::rw- user:daemon:rw- user:nobody:rw- group::--- group:bin:rw- mask::rw- other::---",
        ),
    ];
    let sandbox = Sandbox::new()?;
    let socket = |name: &str| sandbox.file(&format!("{name}.sock"));
    let sections: Vec<String> = cases
        .iter()
        .map(|(name, lines, _)| section(name, &format!("listen = {}\n{lines}", socket(name).display())))
        .collect();
    let paths: Vec<PathBuf> = cases.iter().map(|(name, ..)| socket(name)).collect();
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&sections.join("\n")))?;
    for ((name, _, wanted), path) in cases.iter().zip(&paths) {
        let seen = access_of(path)?;
        ensure!(seen == *wanted, "{name}: {seen}");
    }
    let may = |user, at: usize| may_connect(user, &paths[at]);
    ensure!(
        !may(NOBODY, 0)? && may(NOBODY, 1)? && may(NOBODY, 2)? && may(NOBODY, 4)?,
        "which sockets the user nobody may use"
    );
    ensure!(!may(GAMES, 1)? && may(GAMES, 2)? && !may(GAMES, 4)?, "who games may visit");
    server.stop()
}

/// User ids of Debian.
const NOBODY: u32 = 65534;
const GAMES: u32 = 5;

/// Names, mode and access list of a file, on one line.
fn access_of(path: &Path) -> Outcome<String> {
    let stat = Command::new("stat").args(["-c", "%U %G %a"]).arg(path).output()?;
    let list = Command::new("getfacl").args(["-cpE"]).arg(path).output()?;
    let text = String::from_utf8([stat.stdout, list.stdout].concat())?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn may_connect(user: u32, path: &Path) -> Outcome<bool> {
    const EACCES: i32 = 13;
    let connect = "socket(S, PF_UNIX, SOCK_STREAM, 0); exit(connect(S, sockaddr_un($ARGV[0])) ? 0 : $!+0)";
    let mut command = Command::new("setpriv");
    let id = user.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "perl", "-MSocket", "-e", connect]).arg(path);
    match command.status()?.code() {
        Some(0) => Ok(true),
        Some(EACCES) => Ok(false),
        other => Err(format!("connecting to {} as {user}: {other:?}", path.display()).into()),
    }
}

/// php-fpm changes nothing of an existing socket.
#[test]
fn reload_changes_access() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let path = sandbox.file("p.sock");
    let pool = section("p", &format!("listen = {}", path.display()));
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&pool))?;
    let inode = fs::metadata(&path)?.ino();
    let steps = [
        ("listen.mode = 0666", "root root 666 user::rw- group::rw- other::rw-", true),
        ("listen.owner = nobody\nlisten.mode = 0600", "nobody nogroup 600 user::rw- group::--- other::---", true),
        ("listen.acl_users = nobody", "root root 660 user::rw- user:nobody:rw- group::rw- mask::rw- other::---", true),
        ("", "root root 660 user::rw- group::rw- other::---", false),
    ];
    for (lines, wanted, admitted) in steps {
        reload_with(&server, lines)?;
        let seen = access_of(&path)?;
        ensure!(seen == wanted, "after {lines:?}: {seen}");
        ensure!(may_connect(NOBODY, &path)? == admitted, "after {lines:?} for the user nobody");
        server.says_hello(&Address::Unix(path.clone()))?;
    }
    ensure!(fs::metadata(&path)?.ino() == inode, "the socket was created again");
    server.stop()
}

/// A reload that fails leaves the sockets unchanged, and creates none.
#[test]
fn failed_reload_changes_no_socket() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let (path, second) = (sandbox.file("p.sock"), sandbox.file("q.sock"));
    let pool = section("p", &format!("listen = {}", path.display()));
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&pool))?;
    let before = access_of(&path)?;
    let other = section("q", &format!("listen = {}", second.display()));
    // The check only reads the configuration; that this address cannot be bound is found when the generation starts.
    let lost = section("r", "listen = /no/such/directory/r.sock");
    server.sandbox.put("fpm.conf", &format!("{}\nlisten.mode = 0666\n{other}\n{lost}\n", server.conf))?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["/no/such/directory/r.sock", "serves on"], ms(20_000))?;
    server.says_hello(&Address::Unix(path.clone()))?;
    ensure!(access_of(&path)? == before, "its access changed");
    ensure!(!second.exists(), "{} stays", second.display());
    server.stop()
}

/// A user with write access to the directory cannot make root change another file's owner.
#[test]
fn links_are_not_followed() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let (path, victim) = (sandbox.file("p.sock"), sandbox.file("victim"));
    fs::write(&victim, "")?;
    let pool = section("p", &format!("listen = {}\nlisten.mode = 0666", path.display()));
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&pool))?;
    let before = access_of(&victim)?;
    fs::remove_file(&path)?;
    symlink(&victim, &path)?;
    let mark = server.log.mark();
    server.reload()?;
    let told = server.log.since(mark);
    ensure!(told.contains("cannot examine the socket '") && told.contains("The pool serves"), "{told}");
    ensure!(access_of(&victim)? == before, "the other file's access changed: {}", access_of(&victim)?);
    server.says_hello(&server.address)?;
    server.stop()
}

/// A socket whose path was removed is reachable again after a reload.
#[test]
fn a_socket_that_was_removed_comes_back() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(2))?;
    fs::remove_file(server.sandbox.file("fpm.sock"))?;
    server.reload()?;
    server.says_hello(&server.address)?;
    ensure!(server.log.count("was removed; a new one is made") == 1, "{}", server.log.text());
    server.reload()?;
    server.says_hello(&server.address)?;
    server.stop()
}
