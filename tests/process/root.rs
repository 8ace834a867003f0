//! PHP never runs as root in a one-user group, and workers have no privilege and no descriptor of other pools.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nix::unistd::{Group, User};
use testkit::clock::ms;
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// A script that appends its effective user to out/euids, a file that every user may write.
fn witness(sandbox: &Sandbox, name: &str, kind: &str) -> Outcome {
    let text = format!(
        "<?php file_put_contents(__DIR__ . '/../out/euids', '{kind} ' . posix_geteuid() . \"\\n\", FILE_APPEND);\n"
    );
    fs::write(sandbox.page(name), text)?;
    fs::write(sandbox.file("out/euids"), "")?;
    Ok(fs::set_permissions(sandbox.file("out/euids"), fs::Permissions::from_mode(0o666))?)
}

/// opcache.preload and auto_prepend_file run as the pool's user, also after a reload and in every worker.
#[test]
fn php_never_runs_as_root() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    witness(&sandbox, "preload.php", "preload")?;
    witness(&sandbox, "prepend.php", "prepend")?;
    // php-fpm would not start as root without preload_user, and would preload as root with this one.
    let setup = Setup::new(2)
        .ini(&format!("opcache.preload = {}", sandbox.page("preload.php").display()))
        .ini("opcache.preload_user = root")
        .ini(&format!("auto_prepend_file = {}", sandbox.page("prepend.php").display()));
    let server = Server::start_in(sandbox, &target, &setup)?;
    ask(&server, "hello.php")?;
    server.reload()?;
    ask(&server, "hello.php")?;
    let seen = fs::read_to_string(server.sandbox.file("out/euids"))?;
    let user = User::from_name("www-data")?.ok_or("no user www-data")?.uid;
    let wanted: Vec<String> = ["preload", "prepend"].map(|kind| format!("{kind} {user}")).into();
    ensure!(seen.lines().all(|line| wanted.iter().any(|one| one == line)), "seen: {seen}");
    ensure!(wanted.iter().all(|one| seen.lines().filter(|line| line == one).count() == 2), "seen: {seen}");
    server.stop()
}

fn ask(server: &Server, page: &str) -> Outcome<String> {
    ask_once(&server.address, &Request::get(&server.sandbox.page(page)), ms(5000))
}

/// Ids, groups and capabilities of each worker and zygote of a one-user group.
#[test]
fn identity() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(2))?;
    ask(&server, "hello.php")?;
    let workers = server.workers();
    ensure!(workers.len() == 2, "{} workers", workers.len());
    workers.into_iter().try_for_each(unprivileged)?;
    for zygote in server.zygotes() {
        let user = User::from_name("www-data")?.ok_or("no user www-data")?.uid.to_string();
        ensure!(zygote.status("Uid") == vec![user; 4], "the zygote's ids: {:?}", zygote.status("Uid"));
    }
    server.stop()
}

fn unprivileged(worker: Process) -> Outcome {
    let user = User::from_name("www-data")?.ok_or("no user www-data")?;
    let group = Group::from_gid(user.gid)?.ok_or("no group www-data")?;
    let (uid, gid) = (user.uid.to_string(), group.gid.to_string());
    ensure!(worker.status("Uid") == vec![uid; 4], "Uid: {:?}", worker.status("Uid"));
    ensure!(worker.status("Gid") == vec![gid.clone(); 4], "Gid: {:?}", worker.status("Gid"));
    ensure!(worker.status("Groups") == vec![gid], "Groups: {:?}", worker.status("Groups"));
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        ensure!(worker.status(set) == ["0000000000000000"], "{set}: {:?}", worker.status(set));
    }
    Ok(())
}

/// A worker has its standard fds, its epoll set, drain signal and sockets, its directory, opcache's lock: no descriptor of other
/// pools, of a log or of a memfd.
#[test]
fn workers_hold_nothing_foreign() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let other = sandbox.file("other.sock");
    let nobody = "user = nobody\ngroup = nogroup\nlisten.mode = 0666";
    let section = format!("[other]\nlisten = {}\n{nobody}\npm = static\npm.max_children = 2", other.display());
    let server = Server::start_in(sandbox, &target, &Setup::new(2).pool("catch_workers_output = yes").pool(&section))?;
    // Parked connections must not leak into workers that are forked later.
    let kept: Outcome<Vec<Client>> = (0..6).map(|_| kept_client(&server)).collect();
    server.workers().first().ok_or("no worker")?.signal(nix::sys::signal::Signal::SIGKILL);
    // After a second without a request, workers keep no connections but one.
    std::thread::sleep(ms(1500));
    let workers = server.workers();
    ensure!(workers.len() == 4, "{} workers", workers.len());
    for worker in workers {
        let fds = worker.fds();
        let listed: Vec<String> = fds.iter().map(|(fd, to)| format!("{fd} {to}")).collect();
        for (fd, to) in &fds {
            ensure!(allowed(worker, *fd, to), "{} has fd {fd} {to}; all: {listed:?}", worker.title());
        }
        let sockets = fds.values().filter(|to| to.starts_with("socket:")).count();
        let pipes = fds.iter().filter(|(fd, to)| **fd > 2 && to.starts_with("pipe:")).count();
        ensure!(pipes == 1, "{} has {pipes} pipes: {listed:?}", worker.title());
        ensure!(sockets <= SOCKETS, "{} has {sockets} sockets: {listed:?}", worker.title());
    }
    kept?;
    server.stop()
}

/// Listener, both ends of the hand-over queue, park queue, control, one held connection.
const SOCKETS: usize = 6;

fn allowed(worker: Process, fd: i32, to: &str) -> bool {
    let standard = matches!(fd, 0..=2) && (to == "/dev/null" || to.starts_with("pipe:"));
    let waiting = to.starts_with("socket:") || to == "anon_inode:[eventpoll]";
    // The drain signal, on which it can only wait.
    let signal = to.starts_with("pipe:") && worker.access(fd) == Some(0);
    // It returns there after a script.
    let directory = to == worker.directory();
    standard || waiting || signal || directory || to.contains("/.ZendSem.") || to.contains("opcache")
}

fn kept_client(server: &Server) -> Outcome<Client> {
    let mut client = Client::connect(&server.address, ms(5000))?;
    client.ask(&Request::get(&server.sandbox.page("hello.php")).keep())?;
    Ok(client)
}
