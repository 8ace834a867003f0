//! FPM_SOCKETS: cgi-fpm replaces a running php-fpm that gets a reload signal; no request is lost.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::Signal;
use testkit::around::Around;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::load::{Plan, asker, poster};
use testkit::nginx::{Nginx, Upstream};
use testkit::sandbox::free_port;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::stream::Address;
use testkit::target::{Door, Target, web_user};
use testkit::{Outcome, ensure, say, skip, turn};

/// The output of `work.php`. A signal tells php-fpm's workers to leave.
const WORKED: &[&str] = &["done", "its sleep was cut short"];

/// The stock php-fpm of our build, in a private prefix, and cgi-fpm to replace it.
fn both() -> Option<(Target, Target)> {
    let ours = Target::find_ours()?;
    if ours.door == Door::Stock {
        skip("php-fpm starts what stands at its own path, and hands no PHP_CGI on");
        return None;
    }
    Some((Target { door: Door::PhpFpm, ..ours.clone() }, ours))
}

/// Replaces the program of the running php-fpm by ours, and makes it reload.
fn replace(server: &Server, stock: &Target, ours: &Target) -> Outcome {
    let program = stock.program_in(&server.prefix);
    let next = program.with_extension("new");
    symlink(ours.program(), &next)?;
    fs::rename(next, program)?;
    let mark = server.log.mark();
    server.supervisor.signal(Signal::SIGUSR2);
    let lines = ["reloading: execvp(", "using inherited socket fd=", "fpm is running", "ready to handle connections"];
    server.log.wait_for(mark, &lines, ms(20_000))?;
    ensure!(!server.zygotes().is_empty(), "it is php-fpm that runs on");
    ensure!(!server.log.since(mark).contains("FPM_SOCKETS"), "{}", server.log.since(mark));
    Ok(())
}

/// Under load on a unix and two TCP sockets: once to ours, and twice from ours to ours.
#[test]
fn of_a_running_php_fpm() -> Outcome {
    let Some((stock, ours)) = both() else { return Ok(()) };
    let _turn = turn::alone()?;
    let (four, six) = (free_port()?, free_port()?);
    let pool = |name: &str, listen: String| {
        let user = web_user().map(|user| format!("user = {user}\n")).unwrap_or_default();
        format!("[{name}]\n{user}listen = {listen}\npm = static\npm.max_children = 2\nclear_env = no")
    };
    let setup = Setup::new(4).own_prefix().global("process_control_timeout = 20s").pool("clear_env = no");
    let setup = setup.pool(&pool("four", format!("127.0.0.1:{four}"))).pool(&pool("six", format!("[::1]:{six}")));
    let server = Server::start(&stock, &setup)?;
    let path = server.sandbox.file("fpm.sock");
    let inode = fs::symlink_metadata(&path)?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::PerRequest)?;
    let posts = Plan::clients(8).start(|_| poster(nginx.client(ms(30_000)), 20, WORKED));
    let tcp = [Address::Tcp(([127, 0, 0, 1], four).into()), Address::Tcp((std::net::Ipv6Addr::LOCALHOST, six).into())];
    let hello = server.sandbox.page("hello.php");
    let asks = Plan::clients(4)
        .pause(ms(2))
        .start(|number| asker(&tcp[number % 2], &Request::get(&hello), "hello", ms(15_000)));
    std::thread::sleep(ms(500));
    replace(&server, &stock, &ours)?;
    ensure!(server.log.count("using inherited socket fd=") == 3, "{}", server.log.text());
    std::thread::sleep(ms(500));
    (0..2).try_for_each(|_| server.reload())?;
    let (posts, asks) = (posts.stop(), asks.stop());
    say(&format!("{}; {}", posts.summary(), asks.summary()));
    posts.expect_no_failure().map_err(|error| format!("{error}; nginx: {}", nginx.errors()))?;
    asks.expect_no_failure()?;
    use std::os::unix::fs::MetadataExt as _;
    ensure!(fs::symlink_metadata(&path)?.ino() == inode.ino(), "the socket was created again");
    no_trace_of_it(&server)?;
    server.stop()?;
    Ok(())
}

/// Scripts do not see the variable, although they get the environment.
fn no_trace_of_it(server: &Server) -> Outcome {
    let page = server.sandbox.page("environment.php");
    fs::write(&page, "<?php echo implode(' ', array_keys(getenv()));")?;
    let names = ask_once(&server.address, &Request::get(&page), ms(5000))?;
    ensure!(names.contains("PATH") && !names.contains("FPM_SOCKETS"), "the environment: {names}");
    Ok(())
}

/// More sockets than one variable holds (php-src's bug 80024 is one such case): each is adopted once and still
/// served.
#[test]
fn of_130_pools() -> Outcome {
    let Some((stock, ours)) = both() else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut setup = Setup::new(1).own_prefix().global("process_control_timeout = 10s");
    let sandbox = testkit::sandbox::Sandbox::new()?;
    let user = web_user().map(|user| format!("user = {user}\n")).unwrap_or_default();
    let path = |number: usize| sandbox.file(&format!("{number}.sock"));
    let paths: Vec<_> = (1..130).map(path).collect();
    for (number, path) in paths.iter().enumerate() {
        let listen = path.display();
        setup = setup.pool(&format!(
            "[p{number}]\n{user}listen = {listen}\npm = ondemand\npm.max_children = 2\nping.path = /ping"
        ));
    }
    let server = Server::start_in(sandbox, &stock, &setup)?;
    replace(&server, &stock, &ours)?;
    let inherited = server.log.count("using inherited socket fd=");
    ensure!(inherited == 130, "{inherited} of 130 sockets");
    let request = Request::get(&server.sandbox.page("hello.php"));
    for path in &paths {
        let body = ask_once(&Address::Unix(path.clone()), &request, ms(10_000))?;
        ensure!(body == "hello", "{}: {body}", path.display());
    }
    // Sockets that no pool names any more are closed.
    server.sandbox.put("fpm.conf", server.conf.split("[p127]").next().unwrap_or_default())?;
    server.reload()?;
    let gone = |path: &Path| !path.exists();
    wait_until("the end of two sockets", ms(5000), || paths[127..].iter().all(|path| gone(path)))?;
    ensure!(!gone(&paths[126]), "{} has gone as well", paths[126].display());
    server.stop()?;
    ensure!(paths.iter().all(|path| gone(path)), "there are sockets left");
    Ok(())
}

/// Some installations have systemd pass a socket to php-fpm and also name it in FPM_SOCKETS: it is adopted once, and
/// stays systemd's.
#[test]
fn of_what_systemd_passes() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = testkit::sandbox::Sandbox::new()?;
    let path = sandbox.file("fpm.sock");
    let listener = UnixListener::bind(&path)?;
    let around = Around {
        sockets: vec![("fpm.socket".to_owned(), listener.try_clone()?.into())],
        environment: vec![("FPM_SOCKETS".to_owned(), format!("{}=3", path.display()))],
        ..Around::default()
    };
    let server = Server::start_amid(around, Address::Unix(path.clone()), sandbox, &target, &Setup::new(1))?;
    server.says_hello(&server.address)?;
    ensure!(server.log.count("using socket fd=3 from systemd") == 1, "{}", server.log.text());
    ensure!(!server.log.text().contains("FPM_SOCKETS"), "{}", server.log.text());
    let mut server = server;
    server.supervisor.signal(Signal::SIGQUIT);
    server.await_end(ms(10_000))?;
    let waits = Address::Unix(path).connect(ms(1000));
    ensure!(waits.is_ok() && listener.accept().is_ok(), "systemd's socket has ended: {waits:?}");
    Ok(())
}

/// Each invalid part of the variable causes one line in the log and has no other effect.
#[test]
fn nonsense_is_ignored() -> Outcome {
    let Some(stage) = Stage::find_ours(1)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let socket = stage.sandbox.file("fpm.sock");
    let values = format!("{}=77,/x=1,=5,rubbish,{0}=y", socket.display());
    let mut command = stage.command(&["-D"]);
    let status = command
        .env("FPM_SOCKETS", values)
        .env("FPM_SOCKETS_1", "/one=0")
        .env("FPM_SOCKETS_7", "/seven=3")
        .stderr(Stdio::null())
        .status()?;
    let log = testkit::log::Log::new(&stage.sandbox.file("fpm.log"));
    let answer = ask_once(&stage.address, &Request::get(&stage.sandbox.page("hello.php")), ms(5000));
    stage.sweep()?;
    let text = log.text();
    ensure!(status.success() && matches!(answer.as_deref(), Ok("hello")), "{status}, {answer:?}: {text}");
    let complaints: Vec<&str> = text.lines().filter(|line| line.contains("WARNING: FPM_SOCKETS: ")).collect();
    let wanted = ["can't be used: Bad file descriptor (9)", "'/x=1'", "'=5'", "'rubbish,", "'/one=0'"];
    ensure!(complaints.len() == wanted.len(), "{text}");
    for (complaint, wanted) in complaints.iter().zip(wanted) {
        ensure!(complaint.contains(wanted) && complaint.ends_with(": ignored"), "{wanted}: {complaint}");
    }
    ensure!(log.count("using inherited socket") == 0, "{text}");
    Ok(())
}
