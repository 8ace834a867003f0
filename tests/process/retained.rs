//! A worker retains several connections between their requests: no client waits for the request of another, and none notices who keeps its
//! connection.
#![forbid(unsafe_code)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::process::Process;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::usage::Usage;
use testkit::{Outcome, ensure, say, turn};

const FAMILIES: [Listen; 2] = [Listen::Unix, Listen::Tcp];

fn page(server: &Server, name: &str) -> Request {
    Request::get(&server.sandbox.page(name)).keep()
}

fn work(server: &Server, milliseconds: u32) -> Request {
    page(server, "work.php").param("QUERY_STRING", &format!("ms={milliseconds}"))
}

fn started(listen: Listen) -> Outcome<Option<Server>> {
    let Some(target) = Target::find_ours() else { return Ok(None) };
    Server::start(&target, &Setup::new(2).listen(listen)).map(Some)
}

/// Connections that one worker retains, and that worker. The other one is busy while they are made. On a machine that is so slow that
/// it is not any more when the last one is made, it is tried again.
fn at_one_worker(server: &Server, count: usize) -> Outcome<(Vec<Client>, Process)> {
    let mut workers = Vec::new();
    for _ in 0..5 {
        let mut other = server.in_hand(ms(400))?;
        let mut clients = Vec::new();
        workers.clear();
        for _ in 0..count {
            let mut client = Client::connect(&server.address, ms(5000))?;
            workers.push(client.ask(&page(server, "pid.php"))?.body());
            clients.push(client);
        }
        other.answer()?;
        workers.dedup();
        if let [worker] = workers.as_slice() {
            return Ok((clients, Process::find(worker.parse()?).ok_or("no worker")?));
        }
    }
    Err(format!("two workers serve: {workers:?}").into())
}

/// Sends a request whose script takes that long, and waits until it runs.
fn begin(server: &Server, client: &mut Client, milliseconds: u32) -> Outcome {
    let mark = server.sandbox.file("out/runs");
    let _ = std::fs::remove_file(&mark);
    server.sandbox.put("www/runs.php", "<?php touch($_GET['mark']); require __DIR__ . '/work.php';")?;
    let query = format!("ms={milliseconds}&mark={}", mark.display());
    client.send(&page(server, "runs.php").param("QUERY_STRING", &query).encode(1))?;
    wait_until("the script runs", ms(10_000), || mark.exists())?;
    Ok(())
}

fn time_of(client: &mut Client, request: &Request, expected: &str) -> Outcome<Duration> {
    let start = Instant::now();
    let body = client.ask(request)?.body();
    ensure!(body == expected, "{body}");
    Ok(start.elapsed())
}

/// The connection ends within that time, and nothing more arrives on it.
fn expect_end(client: &mut Client, limit: Duration) -> Outcome {
    let start = Instant::now();
    match client.record() {
        Ok(None) => {}
        Err(error) if error.to_string().contains("reset") => {}
        other => return Err(format!("{other:?} in place of the end").into()),
    }
    ensure!(start.elapsed() < bar(limit), "the end came after {:?}", start.elapsed());
    Ok(())
}

/// Two clients at the worker of a long request are served by the other worker.
#[test]
fn a_long_request_keeps_no_other_client_waiting() -> Outcome {
    let _turn = turn::shared()?;
    for listen in FAMILIES {
        let Some(server) = started(listen)? else { return Ok(()) };
        let (mut clients, _) = at_one_worker(&server, 4)?;
        clients[0].send(&work(&server, 2000).encode(1))?;
        for (n, client) in clients[1..].iter_mut().enumerate() {
            let took = time_of(client, &page(&server, "hello.php"), "hello")?;
            say(&format!("{listen:?}, client {n}: {took:?}"));
            ensure!(took < bar(ms(500)), "{listen:?}, client {n}: {took:?}");
        }
        ensure!(clients[0].answer()?.body() == "done", "the long request");
        for client in &mut clients {
            time_of(client, &page(&server, "hello.php"), "hello")?;
        }
        server.stop()?;
    }
    Ok(())
}

/// A killed worker loses the connection with a request, and no other one.
#[test]
fn connections_of_a_killed_worker_live_on() -> Outcome {
    let _turn = turn::shared()?;
    for listen in FAMILIES {
        let Some(server) = started(listen)? else { return Ok(()) };
        let (mut clients, worker) = at_one_worker(&server, 4)?;
        begin(&server, &mut clients[0], 3000)?;
        worker.signal(Signal::SIGKILL);
        expect_end(&mut clients[0], ms(500))?;
        for client in &mut clients[1..] {
            let took = time_of(client, &page(&server, "hello.php"), "hello")?;
            ensure!(took < bar(ms(500)), "{listen:?}: {took:?}");
        }
        server.stop()?;
    }
    Ok(())
}

/// The zygote ends while a worker is inside a long request: idle clients see the end of their connections at once.
#[test]
fn the_end_of_the_zygote_leaves_no_client_waiting() -> Outcome {
    let _turn = turn::shared()?;
    // The zygote has taken the idle connections when it is killed, or not.
    for (listen, takes) in FAMILIES.into_iter().flat_map(|listen| [(listen, false), (listen, true)]) {
        let Some(server) = started(listen)? else { return Ok(()) };
        let (mut clients, _) = at_one_worker(&server, 3)?;
        let zygote = *server.zygotes().first().ok_or("no zygote")?;
        if !takes {
            zygote.signal(Signal::SIGSTOP);
        }
        begin(&server, &mut clients[0], 1500)?;
        sleep(ms(100));
        zygote.signal(Signal::SIGKILL);
        expect_end(&mut clients[1], ms(500))?;
        expect_end(&mut clients[2], ms(500))?;
        let body = clients[0].answer()?.body();
        ensure!(body.ends_with("short") || body == "done", "the long request: {body}");
        server.stop()?;
    }
    Ok(())
}

/// A zygote that is late to notice which connections a worker has left: the worker retains others meanwhile, and all live on.
#[test]
fn a_late_zygote_loses_no_connection() -> Outcome {
    let _turn = turn::shared()?;
    let Some(server) = started(Listen::Unix)? else { return Ok(()) };
    let (mut clients, _) = at_one_worker(&server, 4)?;
    let zygote = *server.zygotes().first().ok_or("no zygote")?;
    zygote.signal(Signal::SIGSTOP);
    // The worker leaves its connections after a second.
    sleep(ms(1200));
    let mut others: Vec<Client> = (0..6).map(|_| Client::connect(&server.address, ms(5000))).collect::<Outcome<_>>()?;
    for _ in 0..2 {
        for other in &mut others {
            time_of(other, &page(&server, "hello.php"), "hello")?;
        }
    }
    zygote.signal(Signal::SIGCONT);
    for client in clients.iter_mut().chain(&mut others) {
        time_of(client, &page(&server, "hello.php"), "hello")?;
    }
    server.stop()
}

/// A client that asks for the end of a kept connection sees it, although the zygote has a copy, and a process of the script, too.
#[test]
fn the_end_of_a_kept_connection_reaches_the_client() -> Outcome {
    let _turn = turn::shared()?;
    for listen in FAMILIES {
        let Some(server) = started(listen)? else { return Ok(()) };
        server.sandbox.put(
            "www/goes_on.php",
            "<?php echo 'answer'; if (isset($_GET['fork'])) { if (!pcntl_fork()) { sleep(2); posix_kill(getmypid(), 9); } \
             } else { fastcgi_finish_request(); sleep(2); }",
        )?;
        for query in ["", "fork"] {
            let (mut clients, _) = at_one_worker(&server, 3)?;
            let last = Request::get(&server.sandbox.page("goes_on.php")).param("QUERY_STRING", query);
            ensure!(clients[1].ask(&last)?.body() == "answer", "{query}");
            expect_end(&mut clients[1], ms(500))?;
            ensure!(time_of(&mut clients[0], &page(&server, "hello.php"), "hello")? < bar(ms(500)), "beside it");
            sleep(ms(2100));
        }
        server.stop()?;
    }
    Ok(())
}

/// The script of a kept connection continues after its answer: another worker serves the next request.
#[test]
fn a_script_that_continues_keeps_no_client() -> Outcome {
    let _turn = turn::shared()?;
    for listen in FAMILIES {
        let Some(server) = started(listen)? else { return Ok(()) };
        server.sandbox.put("www/finish.php", "<?php echo 'answer'; fastcgi_finish_request(); sleep(2);")?;
        let (mut clients, _) = at_one_worker(&server, 3)?;
        ensure!(clients[1].ask(&page(&server, "finish.php"))?.body() == "answer", "finish.php");
        for client in &mut clients {
            let took = time_of(client, &page(&server, "hello.php"), "hello")?;
            ensure!(took < bar(ms(500)), "{listen:?}: {took:?}");
        }
        server.stop()?;
    }
    Ok(())
}

/// A worker that is stopped while it waits: the other one serves its clients.
#[test]
fn a_stopped_worker_keeps_no_client_waiting() -> Outcome {
    let _turn = turn::shared()?;
    for listen in FAMILIES {
        let Some(server) = started(listen)? else { return Ok(()) };
        let (mut clients, worker) = at_one_worker(&server, 4)?;
        worker.signal(Signal::SIGSTOP);
        for client in &mut clients[..3] {
            let took = time_of(client, &page(&server, "hello.php"), "hello")?;
            say(&format!("{listen:?}: {took:?}"));
            ensure!(took < bar(ms(500)), "{listen:?}: {took:?}");
        }
        worker.signal(Signal::SIGCONT);
        for client in &mut clients[..3] {
            time_of(client, &page(&server, "hello.php"), "hello")?;
        }
        server.stop()?;
    }
    Ok(())
}

/// A client that stops in the middle of a record, while the other worker is busy: the next client is served again and again.
#[test]
fn half_a_record_leaves_the_next_client_alone() -> Outcome {
    let _turn = turn::shared()?;
    for listen in FAMILIES {
        let Some(server) = started(listen)? else { return Ok(()) };
        let _busy = server.in_hand(ms(1500))?;
        let mut first = Client::connect(&server.address, ms(5000))?;
        time_of(&mut first, &page(&server, "hello.php"), "hello")?;
        // The begin of a record of 100 bytes for the request that has ended.
        first.send(&[1, 5, 0, 1, 0, 100, 0, 0, b'x', b'x'])?;
        sleep(ms(50));
        let mut others: Vec<Client> =
            (0..3).map(|_| Client::connect(&server.address, ms(5000))).collect::<Outcome<_>>()?;
        for _ in 0..3 {
            for other in &mut others {
                let took = time_of(other, &page(&server, "hello.php"), "hello")?;
                ensure!(took < bar(ms(500)), "{listen:?}: {took:?}");
            }
            sleep(ms(20));
        }
        server.stop()?;
    }
    Ok(())
}

/// A connection was taken from a worker that is still inside its long request: its client sees when another worker ends it.
#[test]
fn the_end_of_a_taken_connection_reaches_the_client() -> Outcome {
    let _turn = turn::shared()?;
    for listen in FAMILIES {
        let Some(server) = started(listen)? else { return Ok(()) };
        let (mut clients, _) = at_one_worker(&server, 3)?;
        clients[0].send(&work(&server, 2000).encode(1))?;
        sleep(ms(60));
        ensure!(
            clients[1].ask(&Request::get(&server.sandbox.page("hello.php")))?.body() == "hello",
            "the last request"
        );
        expect_end(&mut clients[1], ms(500))?;
        server.stop()?;
    }
    Ok(())
}

/// Two requests that wait for one worker while the other one has nothing to do are served at the same time, unless the machine lets the
/// other one wait so long that the first request ends before. So it is enough if one of five pairs is.
#[test]
fn workers_share_what_waits() -> Outcome {
    let _turn = turn::alone()?;
    let Some(server) = started(Listen::Unix)? else { return Ok(()) };
    server.sandbox.put("www/short.php", "<?php usleep(4000); echo getmypid();")?;
    for _ in 0..5 {
        let (mut clients, worker) = at_one_worker(&server, 2)?;
        sleep(ms(20));
        worker.signal(Signal::SIGSTOP);
        for client in &mut clients {
            client.send(&page(&server, "short.php").encode(1))?;
        }
        worker.signal(Signal::SIGCONT);
        let of: Vec<String> = clients.iter_mut().map(|client| Ok(client.answer()?.body())).collect::<Outcome<_>>()?;
        if of[0] != of[1] {
            return server.stop();
        }
    }
    Err("one worker has served both requests of each pair".into())
}

/// A worker has the words of its own pool only, also in a group with pools of other users.
#[test]
fn a_worker_shares_words_with_no_other_pool() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = testkit::sandbox::Sandbox::new()?;
    let socket = sandbox.file("other.sock");
    let other = format!(
        "process.group = g\n[other]\nprocess.group = g\nlisten = {}\nuser = nobody\ngroup = nogroup\npm = static\n\
         pm.max_children = 1",
        socket.display()
    );
    let server = Server::start_in(sandbox, &target, &Setup::new(1).pool(&other))?;
    let workers = server.workers();
    ensure!(workers.len() == 2, "{} workers", workers.len());
    for worker in workers {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", worker.pid))?;
        let words = maps.lines().filter(|line| line.contains("cgi-fpm-retained")).count();
        ensure!(words == 1, "{} maps {words}", worker.title());
    }
    server.stop()
}

/// With few descriptors, a worker retains few connections, and scripts can open files.
#[test]
fn scripts_have_descriptors() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).pool("rlimit_files = 64"))?;
    server.sandbox.put("www/open.php", "<?php for ($n = 0; $f = @fopen(__FILE__, 'r'); $n++) $all[] = $f; echo $n;")?;
    let open = page(&server, "open.php");
    let mut first = Client::connect(&server.address, ms(5000))?;
    let alone: u32 = first.ask(&open)?.body().parse()?;
    let mut clients: Vec<Client> =
        (0..40).map(|_| Client::connect(&server.address, ms(5000))).collect::<Outcome<_>>()?;
    for client in &mut clients {
        client.ask(&page(&server, "hello.php"))?;
    }
    let beside: u32 = clients[39].ask(&open)?.body().parse()?;
    ensure!(beside + 4 >= alone && alone > 20, "{alone}, then {beside} files");
    server.stop()
}

/// A request whose last record comes later, as Apache sends it, and a request in two parts.
#[test]
fn late_records_and_halves() -> Outcome {
    let _turn = turn::shared()?;
    for listen in FAMILIES {
        let Some(server) = started(listen)? else { return Ok(()) };
        let (mut clients, worker) = at_one_worker(&server, 3)?;
        let whole = page(&server, "hello.php").encode(1);
        for round in 0..6 {
            for client in &mut clients {
                let cut = if round % 2 == 0 { whole.len() - 8 } else { 40 };
                client.send(&whole[..cut])?;
                sleep(ms(if round < 4 { 5 } else { 60 }));
                client.send(&whole[cut..])?;
                let body = client.answer()?.body();
                ensure!(body == "hello", "{listen:?}, {round}: {body}");
            }
        }
        ensure!(worker.lives(), "the worker has exited");
        server.stop()?;
    }
    Ok(())
}

/// After a second without requests the zygote watches the connections, so no process looks after them any more. They still work.
#[test]
fn idle_connections_cost_nothing() -> Outcome {
    let _turn = turn::alone()?;
    let Some(server) = started(Listen::Unix)? else { return Ok(()) };
    let (mut clients, _) = at_one_worker(&server, 8)?;
    sleep(ms(1300));
    let watched: Vec<Process> = server.zygotes().into_iter().chain(server.workers()).collect();
    let in_a_second = || {
        let before = Usage::of(&watched);
        sleep(ms(1000));
        Usage::of(&watched).since(before).sleeps
    };
    // On a slow machine, the zygote takes them within the first of these seconds.
    let counted: Vec<_> = (0..3).map(|_| in_a_second()).take_while(|count| *count > 3).collect();
    ensure!(counted.len() < 3, "{counted:?} sleeps in three seconds");
    for client in &mut clients {
        time_of(client, &page(&server, "hello.php"), "hello")?;
    }
    server.stop()
}
