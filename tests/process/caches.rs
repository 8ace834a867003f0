//! The control socket and what commands do over it: `php-fpm cache clear` and `php-fpm opcache reset`.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::load::{Plan, asker};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::{Ran, command_in, run_to_end};
use testkit::target::{Target, as_root};
use testkit::{Outcome, ensure, turn};

/// Where the link leads, as PHP knows it.
const LINK: &str = "<?php usleep(100000); echo getmypid(), ' ', basename(realpath(__DIR__ . '/current'));";

fn run(target: &Target, server: &Server, words: &[&str]) -> Outcome<Ran> {
    run_to_end(&mut command_in(target, &server.sandbox, words))
}

fn control_socket(server: &Server) -> PathBuf {
    server.sandbox.file("fpm.control")
}

/// The workers of so many requests at the same time, and what they have said.
fn all_say(server: &Server, page: &str, workers: usize) -> Outcome<(BTreeSet<String>, BTreeSet<String>)> {
    let mut clients = Vec::new();
    for _ in 0..workers {
        let mut client = Client::connect(&server.address, bar(ms(10_000)))?;
        client.send(&Request::get(&server.sandbox.page(page)).encode(1))?;
        clients.push(client);
    }
    let (mut pids, mut said) = (BTreeSet::new(), BTreeSet::new());
    for client in &mut clients {
        let body = client.answer()?.body();
        let (pid, text) = body.split_once(' ').ok_or_else(|| body.clone())?;
        pids.insert(pid.to_owned());
        said.insert(text.to_owned());
    }
    Ok((pids, said))
}

fn point_to(sandbox: &Sandbox, place: &str) -> Outcome {
    let (link, new) = (sandbox.page("current"), sandbox.page("new"));
    symlink(sandbox.page(place), &new)?;
    Ok(fs::rename(new, link)?)
}

/// A deployment changes a link. Each worker follows it at once after the command, and none before.
#[test]
fn each_worker_clears_its_cache_of_paths() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("www/link.php", LINK)?;
    for place in ["first", "second"] {
        fs::create_dir(sandbox.page(place))?;
    }
    point_to(&sandbox, "first")?;
    let setup = Setup::new(4).ini("realpath_cache_ttl = 3600\nrealpath_cache_size = 1M");
    let server = Server::start_in(sandbox, &target, &setup)?;
    let expect = |place: &str| -> Outcome {
        let (pids, said) = all_say(&server, "link.php", 4)?;
        ensure!(pids.len() == 4 && said == BTreeSet::from([place.to_owned()]), "{pids:?} say {said:?}, not {place}");
        Ok(())
    };
    expect("first")?;
    point_to(&server.sandbox, "second")?;
    expect("first")?;
    run(&target, &server, &["cache", "clear", "--pool", "no"])?.expect(1, &["no pool or group 'no' serves"])?;
    expect("first")?;
    run(&target, &server, &["cache", "clear"])?.expect(0, &["www: each worker clears its caches"])?;
    expect("second")?;
    point_to(&server.sandbox, "first")?;
    let said = run(&target, &server, &["cache", "clear", "--pool=www", "--json"])?.expect(0, &[])?;
    let said: serde_json::Value = serde_json::from_str(&said.text)?;
    ensure!(said["groups"][0]["pools"][0] == "www" && said["groups"][0]["result"] == "done", "{said}");
    expect("first")?;
    server.stop()
}

/// A changed script is not noticed before the command. It is for the groups that are named, and others keep their processes.
#[test]
fn a_reset_of_the_opcode_cache_compiles_scripts_again() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let sandbox = Sandbox::new()?;
    sandbox.put("www/version.php", "<?php echo 'one';")?;
    let other = sandbox.file("other.sock");
    let setup = Setup::new(1).ini("opcache.validate_timestamps = 0").pool(&format!(
        "[other]\nlisten = {}\npm = ondemand\npm.max_children = 1\nprocess.group = elsewhere{}",
        other.display(),
        if as_root() { "\nuser = nobody\ngroup = nogroup" } else { "" }
    ));
    let server = Server::start_in(sandbox, &target, &setup)?;
    let page = Request::get(&server.sandbox.page("version.php"));
    let says = || ask_once(&server.address, &page, ms(10_000));
    ensure!(says()? == "one", "{}", says()?);
    server.sandbox.put("www/version.php", "<?php echo 'two';")?;
    ensure!(says()? == "one", "the script was compiled again: {}", says()?);
    run(&target, &server, &["opcache", "reset"])?
        .expect(0, &["www: new processes serve, with a new opcode cache", "elsewhere: sleeps"])?;
    ensure!(says()? == "two", "the cache is the old one");
    let before = server.zygote_of("www")?;
    run(&target, &server, &["opcache", "reset", "--pool", "other"])?.expect(0, &["elsewhere: sleeps"])?;
    ensure!(server.zygote_of("www")?.pid == before.pid, "another group was renewed");
    // A renewal that fails: what serves goes on.
    server
        .sandbox
        .put("php.ini", "zend_extension = opcache\nextension = /nowhere/at-all.so\nopcache.preload = /nowhere")?;
    let failed = run(&target, &server, &["opcache", "reset", "--pool", "www"])?;
    ensure!(failed.status == Some(1) && failed.text.contains("php-fpm: www: "), "{failed:?}");
    ensure!(says()? == "two", "it serves no more");
    server.stop()
}

/// One reset after the other under load.
#[test]
fn a_reset_under_load_loses_no_request() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let server = Server::start(&target, &Setup::new(4))?;
    let page = Request::get(&server.sandbox.page("hello.php"));
    let wanted = "hello";
    let load = Plan::clients(4).start(|_| asker(&server.address, &page, wanted, bar(ms(10_000))));
    for _ in 0..4 {
        let before = server.zygote_of("www")?;
        run(&target, &server, &["opcache", "reset"])?.expect(0, &["www: new processes serve"])?;
        ensure!(server.zygotes_of("www").iter().any(|zygote| zygote.pid != before.pid), "the processes are the same");
    }
    let tally = load.stop();
    tally.expect_no_failure()?;
    ensure!(tally.times.len() > 20, "{}", tally.summary());
    server.stop()
}

fn connected(path: &Path) -> Outcome<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

fn answer(fd: &OwnedFd) -> Outcome<String> {
    let mut buffer = vec![0; 64 * 1024];
    let length = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    Ok(String::from_utf8(buffer[..length].to_vec())?)
}

/// Nonsense is answered; commands that say nothing keep nobody else from asking for long, and disturb neither pools nor a reload.
#[test]
fn hostile_commands() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let path = control_socket(&server);
    wait_until("the control socket", bar(ms(3000)), || connected(&path).is_ok())?;
    let file = fs::metadata(&path)?;
    ensure!(file.permissions().mode() & 0o777 == 0o600, "{:o}", file.permissions().mode());
    ensure!(file.uid() == nix::unistd::geteuid().as_raw(), "it belongs to {}", file.uid());
    let long = [b' '; 70_000];
    for wrong in [&b"{\"renew\":{\"pools\":7}}"[..], b"\xff", b"{}", &long] {
        let fd = connected(&path)?;
        send(fd.as_raw_fd(), wrong, MsgFlags::empty())?;
        let said = answer(&fd)?;
        ensure!(said.contains("does not understand"), "{said}");
        ensure!(answer(&fd)?.is_empty(), "the connection stays open");
    }
    let silent: Vec<OwnedFd> = (0..40).map(|_| connected(&path)).collect::<Outcome<_>>()?;
    run(&target, &server, &["cache", "clear"])?.expect(1, &["too many commands"])?;
    server.says_hello(&server.address)?;
    server.reload()?;
    // The exec of the reload has closed them.
    ensure!(answer(&silent[0])?.is_empty(), "it is still open");
    run(&target, &server, &["cache", "clear"])?.expect(0, &["www"])?;
    server.stop()?;
    ensure!(!path.exists(), "the file is left");
    Ok(())
}

/// Another user is refused by the kernel, and by the supervisor where the file has another mode.
#[test]
fn another_user_is_refused() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let path = control_socket(&server);
    wait_until("the control socket", bar(ms(3000)), || connected(&path).is_ok())?;
    fs::set_permissions(server.sandbox.path(), fs::Permissions::from_mode(0o755))?;
    let asks = |words: &[&str]| run_to_end(command_in(&target, &server.sandbox, words).uid(65534).gid(65534));
    asks(&["cache", "clear"])?.expect(4, &["cannot ask php-fpm", "Permission denied"])?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\ns.connect(sys.argv[1])\n\
                  try:\n  s.send(b'{\"clear_file_caches\":{}}')\nexcept BrokenPipeError:\n  pass\n\
                  try:\n  print('answer:', s.recv(9000))\nexcept ConnectionResetError:\n  print('answer:', b'')";
    let mut command = std::process::Command::new("python3");
    run_to_end(command.arg("-c").arg(script).arg(&path).uid(65534).gid(65534))?.expect(0, &["answer: b''"])?;
    server.stop()
}

/// The place of the socket changes with a reload, and it can be switched off.
#[test]
fn the_socket_follows_the_configuration() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let elsewhere = format!("control.socket = {}", sandbox.file("here.control").display());
    let server = Server::start_in(sandbox, &target, &Setup::new(1).global(&elsewhere))?;
    let clear = || run(&target, &server, &["cache", "clear"]);
    clear()?.expect(0, &["www"])?;
    let change = |to: &str| {
        let conf = server.conf.replace(&elsewhere, to);
        server.sandbox.put("fpm.conf", &conf).and_then(|()| server.reload())
    };
    change("")?;
    clear()?.expect(0, &["www"])?;
    ensure!(control_socket(&server).exists(), "it is not beside the pid file");
    change("control.socket = no")?;
    clear()?.expect(6, &["no control socket"])?;
    wait_until("the file is removed", bar(ms(3000)), || !control_socket(&server).exists())?;
    server.stop()
}
