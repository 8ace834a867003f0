//! Where pools listen and who may come: addresses of all kinds, access to unix sockets, what a reload changes of them.
#![forbid(unsafe_code)]

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::sandbox::{Sandbox, free_port};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

const LIMIT: Duration = Duration::from_secs(5);

/// A further pool.
fn section(name: &str, lines: &str) -> String {
    let user = web_user().map(|user| format!("user = {user}\n")).unwrap_or_default();
    format!("[{name}]\n{user}pm = static\npm.max_children = 1\n{lines}")
}

fn says_hello(server: &Server, to: &Address) -> Outcome {
    let body = ask_once(to, &Request::get(&server.sandbox.page("hello.php")), LIMIT);
    ensure!(matches!(body.as_deref(), Ok("hello")), "{to:?}: {body:?}");
    Ok(())
}

fn v4(last: u8, port: u16) -> Address {
    Address::Tcp(([127, 0, 0, last], port).into())
}

fn v6(port: u16) -> Address {
    Address::Tcp((Ipv6Addr::LOCALHOST, port).into())
}

#[test]
fn addresses_of_all_kinds() -> Outcome {
    let name = "sockets::addresses_of_all_kinds";
    let Some(target) = Target::find(name) else { return Ok(()) };
    let _turn = turn::shared()?;
    let (four, six, host, any) = (free_port()?, free_port()?, free_port()?, free_port()?);
    let setup = Setup::new(1)
        .pool(&section("four", &format!("listen = 127.0.0.1:{four}")))
        .pool(&section("six", &format!("listen = [::1]:{six}")))
        .pool(&section("host", &format!("listen = localhost:{host}")))
        .pool(&section("any", &format!("listen = {any}")));
    let server = Server::start(&target, &setup)?;
    let all = [server.address.clone(), v4(1, four), v6(six), v4(1, any), v6(any)];
    all.iter().try_for_each(|address| says_hello(&server, address))?;
    says_hello(&server, &v4(1, host)).or_else(|_| says_hello(&server, &v6(host)))?;
    server.stop()
}

#[test]
fn several_addresses_of_a_pool() -> Outcome {
    let Some(target) = Target::find_ours("sockets::several_addresses_of_a_pool") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let (four, six, path) = (free_port()?, free_port()?, sandbox.file("second.sock"));
    let lines = format!("listen = 127.0.0.1:{four}, [::1]:{six}, {}", path.display());
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&section("many", &lines)))?;
    let all = [v4(1, four), v6(six), Address::Unix(path.clone())];
    for _ in 0..5 {
        all.iter().try_for_each(|address| says_hello(&server, address))?;
    }
    server.stop()?;
    ensure!(!path.exists(), "its socket stays behind");
    Ok(())
}

/// All addresses of both families, each by its own name, in either order; a reload keeps both.
#[test]
fn all_addresses_of_both_families() -> Outcome {
    let Some(target) = Target::find_ours("sockets::all_addresses_of_both_families") else { return Ok(()) };
    let _turn = turn::shared()?;
    let (one, other) = (free_port()?, free_port()?);
    let setup = Setup::new(1).pool(&section("four_first", &format!("listen = 0.0.0.0:{one}, [::]:{one}")));
    let setup = setup.pool(&section("six_first", &format!("listen = [::]:{other}, 0.0.0.0:{other}")));
    let server = Server::start(&target, &setup)?;
    let all = [v4(1, one), v6(one), v4(1, other), v6(other)];
    all.iter().try_for_each(|address| says_hello(&server, address))?;
    server.reload()?;
    all.iter().try_for_each(|address| says_hello(&server, address))?;
    server.stop()
}

/// Owner, group, mode and list as php-fpm gives them.
#[test]
fn access() -> Outcome {
    let Some(target) = Target::find_as_root("sockets::access") else { return Ok(()) };
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
    ensure!(!may(NOBODY, 0)? && may(NOBODY, 1)? && may(NOBODY, 2)? && may(NOBODY, 4)?, "who nobody may visit");
    ensure!(!may(GAMES, 1)? && may(GAMES, 2)? && !may(GAMES, 4)?, "who games may visit");
    server.stop()
}

/// Numbers of Debian's users.
const NOBODY: u32 = 65534;
const GAMES: u32 = 5;

/// Names, mode and list of a file, on one line.
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

/// A reload with this in place of the pool's line.
fn reload_with(server: &Server, line: &str) -> Outcome {
    server.sandbox.put("fpm.conf", &format!("{}\n{line}\n", server.conf))?;
    server.reload()
}

/// php-fpm changes nothing of a socket that it has.
#[test]
fn reload_changes_access() -> Outcome {
    let Some(target) = Target::find_ours("sockets::reload_changes_access") else { return Ok(()) };
    if web_user().is_none() {
        return Ok(());
    }
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
        ensure!(may_connect(NOBODY, &path)? == admitted, "after {lines:?} for nobody");
        says_hello(&server, &Address::Unix(path.clone()))?;
    }
    ensure!(fs::metadata(&path)?.ino() == inode, "the socket was made anew");
    server.stop()
}

/// A reload that fails leaves the sockets as they are, and none of its own behind.
#[test]
fn failed_reload_changes_no_socket() -> Outcome {
    let Some(target) = Target::find_ours("sockets::failed_reload_changes_no_socket") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let (path, second) = (sandbox.file("p.sock"), sandbox.file("q.sock"));
    let pool = section("p", &format!("listen = {}", path.display()));
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&pool))?;
    let before = access_of(&path)?;
    let other = section("q", &format!("listen = {}", second.display()));
    // The check reads the configuration only: that this can't be bound shows when the generation begins.
    let lost = section("r", "listen = /no/such/directory/r.sock");
    server.sandbox.put("fpm.conf", &format!("{}\nlisten.mode = 0666\n{other}\n{lost}\n", server.conf))?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["/no/such/directory/r.sock", "serves on"], ms(20_000))?;
    says_hello(&server, &Address::Unix(path.clone()))?;
    ensure!(access_of(&path)? == before, "its access changed");
    ensure!(!second.exists(), "{} stays", second.display());
    server.stop()
}

/// Whoever may write to the directory can't have root change another file's owner.
#[test]
fn links_are_not_followed() -> Outcome {
    let Some(target) = Target::find_ours("sockets::links_are_not_followed") else { return Ok(()) };
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
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["p.sock", "serves on"], ms(20_000))?;
    ensure!(access_of(&victim)? == before, "the other file's access changed: {}", access_of(&victim)?);
    says_hello(&server, &server.address)?;
    server.stop()
}

/// A socket whose path somebody has removed is reachable again after a reload.
#[test]
fn a_socket_that_was_removed_comes_back() -> Outcome {
    let Some(target) = Target::find_ours("sockets::a_socket_that_was_removed_comes_back") else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(2))?;
    fs::remove_file(server.sandbox.file("fpm.sock"))?;
    server.reload()?;
    says_hello(&server, &server.address)?;
    ensure!(server.log.count("was gone: it is made anew") == 1, "{}", server.log.text());
    server.reload()?;
    says_hello(&server, &server.address)?;
    server.stop()
}

/// How many connections wait where nobody accepts, at a unix and a TCP socket; a reload changes it.
#[test]
fn backlog() -> Outcome {
    let Some(target) = Target::find("sockets::backlog") else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let path = sandbox.file("p.sock");
    let pool = section("p", &format!("listen = {}\nlisten.backlog = 3", path.display()));
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&pool))?;
    let first = room(&server, &path)?;
    // One more than it says: the kernel's count begins with none.
    ensure!(first == 4, "{first} found room");
    if server.zygotes().is_empty() {
        return server.stop();
    }
    reload_with(&server, "listen.backlog = 8")?;
    let second = room(&server, &path)?;
    ensure!(second == 9, "{second} found room after the reload");
    server.stop()
}

fn room(server: &Server, path: &Path) -> Outcome<usize> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use std::os::fd::AsRawFd as _;
    let workers = server.workers();
    workers.iter().for_each(|worker| worker.signal(Signal::SIGSTOP));
    let address = UnixAddr::new(path)?;
    let mut waiting = Vec::new();
    while waiting.len() < 100 {
        let client = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK, None)?;
        if connect(client.as_raw_fd(), &address).is_err() {
            break;
        }
        waiting.push(client);
    }
    workers.iter().for_each(|worker| worker.signal(Signal::SIGCONT));
    Ok(waiting.len())
}

/// What can't be listened on is refused, with php-fpm's line.
#[test]
fn refusals() -> Outcome {
    let Some(target) = Target::find("sockets::refusals") else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let path = stage.sandbox.file("taken.sock");
    let _other = std::os::unix::net::UnixListener::bind(&path)?;
    let unknown = "no-such-user-x";
    let cases = [
        (
            format!("listen = 127.0.0.1:{port}"),
            format!("unable to bind listening socket for address '127.0.0.1:{port}': Address already in use (98)"),
        ),
        (
            format!("listen = {}", path.display()),
            format!("Another FPM instance seems to already listen on {}", path.display()),
        ),
        ("listen = 127.0.0.1:69002".to_owned(), "invalid port value '69002'".to_owned()),
        ("listen = no.such.host.invalid:9000".to_owned(), "getaddrinfo: Name or service not known\n".to_owned()),
        (
            "listen = 192.0.2.1:9000".to_owned(),
            "unable to bind listening socket for address '192.0.2.1:9000': Cannot assign requested address (99)"
                .to_owned(),
        ),
        (format!("listen.owner = {unknown}"), format!("cannot get uid for user '{unknown}'")),
        (format!("listen.acl_users = {unknown}"), format!("cannot get uid for user '{unknown}'")),
        (format!("listen.acl_groups = {unknown}"), format!("cannot get gid for group '{unknown}'")),
    ];
    for (line, reason) in cases {
        stage.sandbox.put("fpm.conf", &format!("{}\n{line}\n", stage.conf))?;
        stage.run(&["-F"])?.expect(78, &[&reason, "FPM initialization failed"])?;
    }
    ensure!(path.exists(), "another's socket was removed");
    Ok(())
}

/// What stands in a socket's place and is none stays there, whatever it is: it may be somebody's, and root would delete it.
#[test]
fn what_is_no_socket_stays() -> Outcome {
    let Some(target) = Target::find_ours("sockets::what_is_no_socket_stays") else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    let (file, link) = (stage.sandbox.file("a.file"), stage.sandbox.file("a.link"));
    fs::write(&file, "mine")?;
    symlink("a.file", &link)?;
    for path in [&file, &link] {
        stage.sandbox.put("fpm.conf", &format!("{}\nlisten = {}\n", stage.conf, path.display()))?;
        let line = format!("address '{}': Address already in use (98)", path.display());
        stage.run(&["-F"])?.expect(78, &[&line])?;
    }
    ensure!(fs::read_to_string(&link)? == "mine", "it was changed");
    Ok(())
}

/// Two pools can't share an address by giving it two names; php-fpm would let them share the socket.
#[test]
fn one_address_by_two_names() -> Outcome {
    let Some(target) = Target::find_ours("sockets::one_address_by_two_names") else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    let port = free_port()?;
    let pools = ["127.0.0.1", "localhost"].map(|host| section(host, &format!("listen = {host}:{port}")));
    stage.sandbox.put("fpm.conf", &format!("{}\n{}\n{}", stage.conf, pools[0], pools[1]))?;
    let line = format!("[pool localhost] 'localhost:{port}' is an address that is listened on already");
    stage.run(&["-F"])?.expect(78, &[&line])?;
    Ok(())
}

/// The same address under another name keeps its socket at a reload.
#[test]
fn another_name_keeps_the_socket() -> Outcome {
    let Some(target) = Target::find_ours("sockets::another_name_keeps_the_socket") else { return Ok(()) };
    let _turn = turn::shared()?;
    let port = free_port()?;
    let pool = section("p", &format!("listen = localhost:{port}"));
    let server = Server::start(&target, &Setup::new(1).pool(&pool))?;
    let mut kept = std::net::TcpStream::connect(("127.0.0.1", port))?;
    reload_with(&server, &format!("listen = 127.0.0.1:{port}"))?;
    says_hello(&server, &v4(1, port))?;
    std::io::Write::write_all(&mut kept, &Request::get(&server.sandbox.page("hello.php")).encode(1))?;
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut kept, &mut answer)?;
    ensure!(String::from_utf8_lossy(&answer).contains("hello"), "a connection from before got nothing");
    server.stop()
}

/// Asks from an address of this machine's. None: it was not let in.
fn ask_from(server: &Server, from: IpAddr, to: SocketAddr) -> Outcome<Option<String>> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsRawFd as _;
    let family = if from.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let client = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(client.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, 0)))?;
    connect(client.as_raw_fd(), &SockaddrStorage::from(to))?;
    let mut client = std::net::TcpStream::from(client);
    client.set_read_timeout(Some(LIMIT))?;
    // Both may fail when the other side has closed: that is an answer, too.
    let _ = client.write_all(&Request::get(&server.sandbox.page("hello.php")).encode(1));
    let mut answer = Vec::new();
    match client.read_to_end(&mut answer) {
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Err(format!("{from} hears nothing").into()),
        Ok(_) | Err(_) => {}
    }
    Ok((!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned()))
}

/// Lists with blanks, networks, mapped addresses; addresses that differ in the last byte only; one line a minute.
#[test]
fn allowed_clients() -> Outcome {
    let name = "sockets::allowed_clients";
    let Some(target) = Target::find(name) else { return Ok(()) };
    if !testkit::netns::inside(name, &["fd00:c61::1/64", "fd00:c61::2/64", "fd00:c62::1/64"], "127.0.0.1 localhost\n")?
    {
        return Ok(());
    }
    let _turn = turn::shared()?;
    let list = if target.is_ours() {
        "127.0.0.2, ::ffff:127.0.0.4,127.0.1.0/24 , fd00:c61::1,fd00:c62::/32"
    } else {
        "127.0.0.2,fd00:c61::1"
    };
    let port = free_port()?;
    let lines = format!("listen = {port}\nlisten.allowed_clients = {list}\ncatch_workers_output = yes");
    let server = Server::start(&target, &Setup::new(1).pool(&section("p", &lines)))?;
    let let_in = |from: IpAddr| -> Outcome<bool> {
        let to = if from.is_ipv4() { [127, 0, 0, 1].into() } else { "fd00:c61::1".parse()? };
        let answer = ask_from(&server, from, SocketAddr::new(to, port))?;
        ensure!(answer.as_ref().is_none_or(|answer| answer.contains("hello")), "{answer:?}");
        Ok(answer.is_some())
    };
    let mut cases = vec![("127.0.0.2", true), ("127.0.0.3", false), ("fd00:c61::1", true)];
    if target.is_ours() {
        // php-fpm compares 12 of 16 bytes.
        cases.extend([("fd00:c61::2", false), ("fd00:c62::1", true), ("127.0.0.4", true), ("127.0.1.9", true)]);
        cases.extend([("127.0.2.9", false), ("127.0.0.1", false), ("::1", false)]);
    }
    for _ in 0..3 {
        for (from, wanted) in &cases {
            ensure!(let_in(from.parse()?)? == *wanted, "{from}: {}", !wanted);
        }
    }
    let refused = cases.iter().filter(|(_, wanted)| !wanted).count() * 3;
    let lines = || server.log.count("Connection disallowed: IP address");
    let wanted = if target.is_ours() { 1 } else { refused };
    testkit::clock::wait_until("the lines", LIMIT, || lines() >= wanted)?;
    std::thread::sleep(ms(200));
    ensure!(lines() == wanted, "{} lines: {}", lines(), server.log.text());
    ensure!(server.log.count("Connection disallowed: IP address '127.0.0.3'") > 0, "{}", server.log.text());
    server.stop()
}

/// The first address of a name is listened on, and the others are named in a warning.
#[test]
fn names_with_several_addresses() -> Outcome {
    let name = "sockets::names_with_several_addresses";
    let Some(target) = Target::find(name) else { return Ok(()) };
    let hosts =
        "127.0.0.1 localhost\n127.0.0.5 both.test\n127.0.0.6 both.test\n192.0.2.7 away.test\n127.0.0.7 away.test\n";
    if !testkit::netns::inside(name, &[], hosts)? {
        return Ok(());
    }
    let _turn = turn::shared()?;
    let (both, away) = (free_port()?, free_port()?);
    let setup = Setup::new(1)
        .pool(&section("both", &format!("listen = both.test:{both}")))
        .pool(&section("away", &format!("listen = away.test:{away}")));
    let server = Server::start(&target, &setup)?;
    let log = server.log.text() + &server.stdio();
    ensure!(log.contains("WARNING: Found multiple addresses for both.test, 127.0.0.6 ignored"), "{log}");
    // The order of addresses is the resolver's: whichever is tried first, the one that is here is found.
    says_hello(&server, &v4(5, both))?;
    says_hello(&server, &v4(7, away))?;
    server.stop()
}
