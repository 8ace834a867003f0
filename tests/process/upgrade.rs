//! SIGUSR2 from a former version to this one: the supervisor handles messages of the former version's processes until
//! they have gone, and no request is lost. `CGI_FPM_FORMER` names the library of that version; without it these tests
//! are skipped, which fails in CI.
#![forbid(unsafe_code)]

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use testkit::broken::replace;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::http;
use testkit::inside::{lingering, packet_sockets, send};
use testkit::load::{Job, Plan};
use testkit::nginx::{Nginx, Upstream};
use testkit::process::Process;
use testkit::sandbox::{Sandbox, free_port};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, skip, turn};

/// A prefix with the former library, and that library.
struct Former {
    target: Target,
    /// This version's prefix.
    present: Target,
    library: PathBuf,
    _prefix: Sandbox,
}

impl Former {
    fn find() -> Outcome<Option<Self>> {
        let Some(present) = Target::find_ours_as_root() else { return Ok(None) };
        let library = std::env::var_os("CGI_FPM_FORMER").filter(|library| !library.is_empty());
        let Some(library) = library.map(PathBuf::from) else {
            ensure!(std::env::var("CI").as_deref() != Ok("true"), "CGI_FPM_FORMER isn't set");
            skip("CGI_FPM_FORMER isn't set");
            return Ok(None);
        };
        let prefix = Sandbox::new()?;
        for name in ["bin/php-cgi", "sbin/php-fpm", "libexec/php-fpm-preload"] {
            let (from, to) = (present.prefix.join(name), prefix.file(name));
            if from.exists() {
                fs::create_dir_all(to.parent().ok_or("no parent")?)?;
                fs::copy(from, to)?;
            }
        }
        fs::create_dir(prefix.file("lib"))?;
        fs::copy(&library, prefix.file("lib/cgi-fpm.so"))?;
        let target = Target { prefix: prefix.path().to_owned(), ..present.clone() };
        Ok(Some(Self { target, present, library, _prefix: prefix }))
    }

    /// A server of the former version, with a tracer in each worker.
    fn start(&self) -> Outcome<Server> {
        let setup =
            Setup::new(4).own_prefix().pool("request_terminate_timeout = 60s").pool("catch_workers_output = yes");
        let sandbox = Sandbox::new()?;
        let access_log = format!("access.log = {}", sandbox.file("access.log").display());
        Server::start_in(sandbox, &self.target, &setup.pool(&access_log))
    }

    /// Replaces the former version by this one.
    fn install(&self, server: &Server) -> Outcome {
        replace(&server.prefix.join("lib/cgi-fpm.so"), &self.present.prefix.join("lib/cgi-fpm.so"))
    }
}

const HELPER: &str = "php-fpm: hears a zygote of the former version";

fn helpers(server: &Server) -> usize {
    server.zygotes().iter().filter(|process| process.title() == HELPER).count()
}

/// A request that lasts this long; it is running when this returns.
fn long_request(server: &Server, time: u64) -> Outcome<Client> {
    let mut client = Client::connect(&server.address, ms(60_000))?;
    let work = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", &format!("ms={time}"));
    client.send(&work.encode(1))?;
    // Its worker has accepted it long before the reload is checked.
    std::thread::sleep(ms(200));
    Ok(client)
}

fn is_answered(mut client: Client) -> Outcome {
    let answer = client.answer()?;
    ensure!(answer.body() == "done", "{:?}", answer.body());
    Ok(())
}

#[test]
fn nothing_is_lost() -> Outcome {
    let _turn = turn::alone()?;
    let Some(former) = Former::find()? else { return Ok(()) };
    let server = former.start()?;
    let nginx = Nginx::start(&server.sandbox, &server.address, Upstream::Kept(8))?;
    let load = Plan::clients(16).start(|_| {
        let mut web = nginx.client(ms(15_000));
        let job: Job = Box::new(move || {
            let text = web.post("/work.php?ms=5", b"some=thing")?.expect(200)?.text();
            ensure!(text == "done", "{text}");
            Ok(())
        });
        job
    });
    let long = long_request(&server, 3000)?;
    let zygote = server.zygotes();
    former.install(&server)?;
    let began = Instant::now();
    server.reload()?;
    let took = began.elapsed();
    ensure!(helpers(&server) == 1, "no helper reads the former zygote's messages: {}", server.log.tail(5));
    is_answered(long)?;
    wait_until("the end of the former zygote", ms(10_000), || zygote.iter().all(|process| !process.lives()))?;
    wait_until("the end of who heard it", ms(5000), || helpers(&server) == 0)?;
    server.reload()?;
    let tally = load.stop();
    say(&format!("the reload took {took:.1?}; {}", tally.summary()));
    tally.expect_no_failure().map_err(|error| format!("{error}; nginx: {}", nginx.errors()))?;
    ensure!(server.log.count("killed") == 0, "{}", server.log.tail(9));
    server.stop()
}

/// A directive of this version comes with it. The scoreboard of the former zygote has no room for ids: a worker of it that is
/// killed in a request has none, and disturbs nobody.
#[test]
fn ids_of_requests_come_with_the_new_version() -> Outcome {
    let _turn = turn::alone()?;
    let Some(former) = Former::find()? else { return Ok(()) };
    let server = former.start()?;
    let _long = long_request(&server, 20_000)?;
    let workers = server.workers();
    former.install(&server)?;
    server.sandbox.put("fpm.conf", &format!("{}log.request_id = HTTP_X_REQUEST_ID\n", server.conf))?;
    server.reload()?;
    let page = "<?php echo $_SERVER['HTTP_X_REQUEST_ID']; error_log('complained');";
    server.sandbox.put("www/id.php", page)?;
    let id = ask_once(&server.address, &Request::get(&server.sandbox.page("id.php")), ms(5000))?;
    ensure!(id.len() == 32, "{id:?}");
    let told = format!("complained [request_id={id}]");
    wait_until("its message", ms(5000), || server.log.count(&told) == 1)?;
    let living = || workers.iter().filter(|worker| worker.lives());
    wait_until("the end of the former workers without a request", ms(5000), || living().count() == 1)?;
    living().for_each(|worker| worker.signal(Signal::SIGKILL));
    wait_until("the former worker's end", ms(5000), || server.log.count("exited on signal 9") == 1)?;
    ensure!(server.log.count("request_id=") == 1, "{}", server.log.text());
    server.says_hello(&server.address)?;
    server.stop()
}

/// The former version's memory of counters is smaller. The pool gets another one, which goes on with the numbers, and the monitor that the
/// new configuration wants shows them.
#[test]
fn counters_go_on() -> Outcome {
    let _turn = turn::shared()?;
    let Some(former) = Former::find()? else { return Ok(()) };
    let server = former.start()?;
    let ask = |count: u32| (0..count).try_for_each(|_| server.says_hello(&server.address));
    ask(7)?;
    let address = ([127, 0, 0, 1], free_port()?).into();
    let conf = server.conf.replace("[global]\n", &format!("[global]\nmonitor.listen = {address}\n"));
    server.sandbox.put("fpm.conf", &conf)?;
    former.install(&server)?;
    server.reload()?;
    ask(5)?;
    let metrics = || {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
            http::Client::new(address, ms(5000)).get("/metrics")?.expect(200)?.text(),
        )
    };
    wait_until("the monitor answers", bar(ms(5000)), || metrics().is_ok())?;
    let text = metrics()?;
    let accepted = text.lines().find(|line| line.starts_with("phpfpm_accepted_connections{")).unwrap_or_default();
    ensure!(accepted.ends_with(" 12"), "{accepted}");
    let has_status = "phpfpm_requests_total{pool=\"www\",code=\"2xx\"} 5\n";
    ensure!(text.contains(has_status), "only requests of this version are counted by status: {text}");
    server.reload()?;
    ask(1)?;
    let text = metrics()?;
    ensure!(text.contains("phpfpm_requests_total{pool=\"www\",code=\"2xx\"} 6\n"), "{text}");
    ensure!(http::Client::new(address, ms(5000)).get("/readyz")?.status == 200, "not ready");
    server.stop()
}

/// PHP does not start any more: the former zygote continues to serve, and its dead workers are replaced, until a
/// reload succeeds.
#[test]
fn the_former_zygote_serves_on_where_the_next_one_fails() -> Outcome {
    let _turn = turn::shared()?;
    let Some(former) = Former::find()? else {
        return Ok(());
    };
    let server = former.start()?;
    former.install(&server)?;
    let ini = fs::read_to_string(server.sandbox.file("php.ini"))?;
    server.sandbox.put("php.ini", &format!("{ini}\nopcache.preload = /there/is/none.php\n"))?;
    server.supervisor.signal(Signal::SIGUSR2);
    wait_until("the reload's failure", ms(20_000), || server.log.count("ERROR: reload failed: ") == 1)?;
    let hello = Request::get(&server.sandbox.page("hello.php"));
    for worker in server.workers() {
        worker.signal(Signal::SIGKILL);
        wait_until("its successor", ms(5000), || !worker.lives() && server.workers().len() == 4)?;
        ensure!(ask_once(&server.address, &hello, ms(5000))? == "hello", "no answer");
    }
    ensure!(helpers(&server) == 1, "{}", server.log.tail(5));
    server.sandbox.put("php.ini", &ini)?;
    server.reload()?;
    wait_until("the end of who heard it", ms(5000), || helpers(&server) == 0)?;
    ensure!(ask_once(&server.address, &hello, ms(5000))? == "hello", "no answer");
    server.stop()
}

/// A message of a former zygote can delay at most its own helper.
#[test]
fn a_former_zygote_stalls_nobody() -> Outcome {
    let _turn = turn::shared()?;
    let Some(former) = Former::find()? else { return Ok(()) };
    let server = former.start()?;
    let zygote: Process = *server.zygotes().first().ok_or("no zygote")?;
    let ways = packet_sockets(zygote, server.supervisor)?;
    let mut long = long_request(&server, 4000)?;
    former.install(&server)?;
    server.reload()?;
    let mut readers = Vec::new();
    server.supervisor.signal(Signal::SIGSTOP);
    for way in &ways {
        let (socket, reader) = lingering()?;
        readers.push(reader);
        if send(&way.fd, b"\"Stays\"", &[socket.as_raw_fd()]).is_err() {
            setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 0, l_linger: 0 })?;
        }
        let _ = send(&way.fd, b"{nonsense", &[]);
    }
    server.supervisor.signal(Signal::SIGCONT);
    wait_until("the end of a zygote that talks nonsense", ms(5000), || !zygote.lives())?;
    let heard = server.hears(ms(30_000))?;
    ensure!(heard < bar(ms(500)), "SIGUSR1 was heard after {heard:?}");
    // A signal tells the worker that its zygote has ended.
    drop(ways);
    ensure!(!long.answer()?.body().is_empty(), "no answer");
    wait_until("the end of who heard it", ms(5000), || helpers(&server) == 0)?;
    server.stop()
}

/// Files are replaced some time before the reload: a zygote that starts in between is of this version, its supervisor
/// is not.
#[test]
fn a_zygote_may_be_newer_than_its_supervisor() -> Outcome {
    let _turn = turn::shared()?;
    let Some(former) = Former::find()? else { return Ok(()) };
    let server = former.start()?;
    former.install(&server)?;
    let hello = Request::get(&server.sandbox.page("hello.php"));
    for zygote in server.zygotes() {
        zygote.signal(Signal::SIGKILL);
        wait_until("the next zygote", ms(5000), || !zygote.lives() && server.zygotes().len() == 1)?;
        server.await_workers(4, ms(5000))?;
        ensure!(ask_once(&server.address, &hello, ms(5000))? == "hello", "no answer");
    }
    let long = long_request(&server, 1500)?;
    server.reload()?;
    is_answered(long)?;
    wait_until("the end of who heard it", ms(5000), || helpers(&server) == 0)?;
    ensure!(ask_once(&server.address, &hello, ms(5000))? == "hello", "no answer");
    server.stop()
}

/// The former version cannot continue from this one: it refuses, and gives the reason.
#[test]
fn the_way_back_is_refused() -> Outcome {
    let _turn = turn::shared()?;
    let Some(former) = Former::find()? else { return Ok(()) };
    let server = Server::start(&former.present, &Setup::new(2).own_prefix())?;
    replace(&server.prefix.join("lib/cgi-fpm.so"), &former.library)?;
    server.supervisor.signal(Signal::SIGUSR2);
    wait_until("the refusal", ms(10_000), || server.log.count("reload refused: ") == 1)?;
    ensure!(server.log.count("can't carry on from the running supervisor's state") >= 1, "{}", server.log.tail(5));
    let hello = Request::get(&server.sandbox.page("hello.php"));
    ensure!(ask_once(&server.address, &hello, ms(5000))? == "hello", "no answer");
    server.stop()
}
