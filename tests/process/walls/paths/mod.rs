//! Attacks by users on the directories that contain sockets, logs and the pid file.

mod fuse_files;
mod groups;
mod hanging;
mod links;
mod logs;
mod pid_file;
mod placing;
mod returns;
mod sockets;
mod stopped;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Gid, Uid, chown};
use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::stage::Stage;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure};

use super::{ALICE, BOB, GLOBAL, address, section, spawn, start};

/// The conditions of all tests here: root, and our own program.
fn find() -> Option<Target> {
    Target::find_ours_as_root()
}

/// A directory of that user's in the sandbox.
fn dir_of(sandbox: &Sandbox, name: &str, uid: u32) -> Outcome<PathBuf> {
    let path = sandbox.file(name);
    fs::create_dir(&path)?;
    give(&path, uid)?;
    Ok(path)
}

/// That configuration, with all groups or none: a group that can't start refuses the start.
fn all_or_nothing(conf: &str) -> String {
    conf.replacen("[global]\n", "[global]\nprocess.start_failure = stop\n", 1)
}

fn give(path: &Path, uid: u32) -> Outcome {
    Ok(chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?)
}

/// A directory of root's with exactly this mode, whatever the umask is.
fn roots_dir(sandbox: &Sandbox, name: &str, mode: u32) -> Outcome<PathBuf> {
    let path = sandbox.file(name);
    fs::create_dir(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    Ok(path)
}

/// Replaces a file by a link of that user's; the file stays beside it under another name.
fn swap(path: &Path, target: &Path, uid: u32) -> Outcome {
    if path.symlink_metadata().is_ok() {
        fs::rename(path, path.with_extension("away"))?;
    }
    symlink(target, path)?;
    Ok(nix::unistd::fchownat(
        nix::fcntl::AT_FDCWD,
        path,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(uid)),
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    )?)
}

/// Inode, owner, group, mode, length, and access list of a file.
fn marks(path: &Path) -> Outcome<String> {
    let m = fs::symlink_metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let list = Command::new("getfacl").args(["-cpE"]).arg(path).output()?;
    let list = String::from_utf8(list.stdout)?.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(format!("{} {} {} {:o} {} {list}", m.ino(), m.uid(), m.gid(), m.mode(), m.len()))
}

/// Expects that the configuration is refused at the start.
fn stage(target: Target, sandbox: Sandbox, conf: &str) -> Outcome<Stage> {
    sandbox.configure(conf)?;
    sandbox.put("php.ini", "")?;
    let address = Address::Unix(sandbox.file("alice.sock"));
    Ok(Stage { target, sandbox, address, conf: conf.to_owned() })
}

/// A server whose group of bob's cannot start, for that reason: alice's starts and serves.
fn starts_without_bob(target: &Target, sandbox: Sandbox, conf: &str, reason: &str) -> Outcome<Server> {
    let server = start(target, sandbox, conf)?;
    hello_of(&server, ALICE)?;
    let told = server.log.text();
    let mut lines = told.lines().filter(|line| line.contains("ERROR: [group bob] could not be started: "));
    ensure!(lines.any(|line| line.contains(reason)) && !told.contains("[group bob] generation"), "{reason}: {told}");
    ensure!(server.zygotes_of("bob").is_empty(), "bob's group has started: {told}");
    Ok(server)
}

/// A page of the pool that listens there.
fn hello(server: &Server, path: &Path) -> Outcome {
    let (address, page) = (Address::Unix(path.to_owned()), Request::get(&server.sandbox.page("hello.php")));
    let body = ask_once(&address, &page, ms(5000))?;
    ensure!(body == "hello", "{}: {body}", path.display());
    Ok(())
}

/// A page of a pool with the usual socket.
fn hello_of(server: &Server, (name, _): (&str, u32)) -> Outcome {
    hello(server, &server.sandbox.file(&format!("{name}.sock")))
}

/// Ends it; its directory stays.
fn end(server: &mut Server) -> Outcome {
    server.supervisor.signal(nix::sys::signal::Signal::SIGTERM);
    let status = server.await_end(ms(15_000))?;
    ensure!(status == Some(0), "it ended with {status:?}: {}", server.log.tail(5));
    Ok(())
}

/// A directory of bob's, and one in it.
fn bobs_logs() -> Outcome<Sandbox> {
    let sandbox = Sandbox::new()?;
    dir_of(&sandbox, "bob", BOB.1)?;
    dir_of(&sandbox, "bob/logs", BOB.1)?;
    Ok(sandbox)
}

/// The same, and one of root's.
fn dirs_of_bobs() -> Outcome<Sandbox> {
    let sandbox = bobs_logs()?;
    roots_dir(&sandbox, "roots", 0o755)?;
    Ok(sandbox)
}
