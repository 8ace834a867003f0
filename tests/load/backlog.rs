//! Clients in the backlog of a socket that is about to be closed are served first: at a reload that no longer names
//! the socket, and at SIGQUIT.
#![forbid(unsafe_code)]

use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::clock::ms;
use testkit::fastcgi::{Client, Request};
use testkit::load::{Job, Plan};
use testkit::sandbox::free_port;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, say, turn};

const LIMIT: Duration = Duration::from_secs(10);

/// A server with a second pool, `old`, with this number of workers, on a path and a port.
struct Scene {
    server: Server,
    doors: [Address; 2],
}

/// Clients whose requests wait, in the order in which they came.
struct Queue {
    busy: Vec<Client>,
    waiting: Vec<Client>,
    /// Connected; sends the request later.
    silent: Vec<Client>,
    hello: Request,
}

impl Scene {
    fn new(target: &Target, workers: usize) -> Outcome<Self> {
        let sandbox = testkit::sandbox::Sandbox::new()?;
        let (path, port) = (sandbox.file("old.sock"), free_port()?);
        let user = web_user().map(|user| format!("user = {user}\n")).unwrap_or_default();
        let mut doors = format!("listen = {}\n", path.display());
        if target.is_ours() {
            doors = format!("listen = {}, 127.0.0.1:{port}\n", path.display());
        }
        let pool = format!("[old]\n{user}{doors}pm = static\npm.max_children = {workers}");
        let server = Server::start_in(sandbox, target, &Setup::new(1).pool(&pool))?;
        let tcp = Address::Tcp(([127, 0, 0, 1], port).into());
        let doors = [Address::Unix(path.clone()), if target.is_ours() { tcp } else { Address::Unix(path) }];
        Ok(Self { server, doors })
    }

    /// Keeps all workers busy, then lets this number of clients wait at each address.
    fn queue(&self, workers: usize, each: usize) -> Outcome<Queue> {
        let work = Request::get(&self.server.sandbox.page("work.php")).param("QUERY_STRING", "ms=2500").keep();
        let hello = Request::get(&self.server.sandbox.page("hello.php"));
        let busy = (0..workers).map(|_| asking(&self.doors[0], &work)).collect::<Outcome<Vec<_>>>()?;
        std::thread::sleep(ms(500));
        let mut queue = Queue { busy, waiting: Vec::new(), silent: Vec::new(), hello };
        for number in 0..each {
            for door in &self.doors {
                let kept = if number % 2 == 0 { queue.hello.clone() } else { queue.hello.clone().keep() };
                queue.waiting.push(asking(door, &kept)?);
            }
        }
        for door in &self.doors {
            queue.silent.push(Client::connect(door, LIMIT)?);
        }
        Ok(queue)
    }
}

impl Queue {
    fn expect_answers(mut self) -> Outcome {
        self.await_answers()
    }

    /// All are answered, and those that the workers were busy with can use their connections again.
    fn expect_answers_and_others(mut self) -> Outcome {
        self.await_answers()?;
        for client in &mut self.busy {
            let answer = client.ask(&self.hello).map_err(|error| format!("the kept connection: {error}"))?;
            ensure!(answer.body() == "hello", "{}", answer.body());
        }
        Ok(())
    }

    fn await_answers(&mut self) -> Outcome {
        for client in &mut self.busy {
            let body = client.answer()?.body();
            ensure!(body == "done", "the request in hand: {body}");
        }
        for (number, client) in self.waiting.iter_mut().enumerate() {
            let answer = client.answer().map_err(|error| format!("client {number} in the backlog: {error}"))?;
            ensure!(answer.body() == "hello", "client {number}: {}", answer.body());
        }
        for client in &mut self.silent {
            let answer = client.ask(&self.hello).map_err(|error| format!("a client that spoke late: {error}"))?;
            ensure!(answer.body() == "hello", "{}", answer.body());
        }
        Ok(())
    }
}

fn asking(to: &Address, request: &Request) -> Outcome<Client> {
    let mut client = Client::connect(to, LIMIT)?;
    client.send(&request.encode(1))?;
    Ok(client)
}

#[test]
fn of_a_pool_that_a_reload_ends() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for workers in [1, 3] {
        let scene = Scene::new(&target, workers)?;
        let queue = scene.queue(workers, 5)?;
        let without = scene.server.conf.split("[old]").next().unwrap_or_default().to_owned();
        scene.server.sandbox.put("fpm.conf", &without)?;
        scene.server.reload()?;
        ensure!(!scene.server.sandbox.file("old.sock").exists(), "the path stays");
        queue.expect_answers()?;
        for door in &scene.doors {
            ensure!(door.connect(ms(500)).is_err(), "{door:?} still accepts connections");
        }
        scene.server.stop()?;
    }
    Ok(())
}

/// A reload removes one of the two addresses of a pool and keeps the other.
#[test]
fn of_an_address_that_a_reload_ends() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (stays, goes) in [(0, 1), (1, 0)] {
        let scene = Scene::new(&target, 2)?;
        let queue = scene.queue(2, 5)?;
        let both = scene.server.conf.lines().find(|line| line.contains("old.sock, ")).ok_or("no such line")?;
        let names: Vec<&str> = both.trim_start_matches("listen = ").split(", ").collect();
        let one = format!("listen = {}", names[stays]);
        scene.server.sandbox.put("fpm.conf", &scene.server.conf.replace(both, &one))?;
        scene.server.reload()?;
        queue.expect_answers_and_others()?;
        ensure!(scene.doors[goes].connect(ms(500)).is_err(), "{} still accepts connections", names[goes]);
        let hello = Request::get(&scene.server.sandbox.page("hello.php"));
        let body = Client::connect(&scene.doors[stays], LIMIT)?.ask(&hello)?.body();
        ensure!(body == "hello", "{body}");
        scene.server.stop()?;
    }
    Ok(())
}

#[test]
fn of_all_at_sigquit() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    for workers in [1, 3] {
        let mut scene = Scene::new(&target, workers)?;
        let queue = scene.queue(workers, 5)?;
        scene.server.supervisor.signal(Signal::SIGQUIT);
        testkit::clock::wait_until("the end of the path", LIMIT, || !scene.server.sandbox.file("old.sock").exists())?;
        queue.expect_answers()?;
        let status = scene.server.await_end(LIMIT)?;
        ensure!(status == Some(0), "status {status:?}");
    }
    Ok(())
}

/// Clients that connect to a path without pause: each of them gets an answer or cannot connect.
#[test]
fn under_load() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    for round in 0..6 {
        let quit = round % 2 == 0;
        let mut scene = Scene::new(&target, 2)?;
        let hello = Request::get(&scene.server.sandbox.page("hello.php"));
        let load = Plan::clients(8).start(|_| until_refused(&scene.doors[0], &hello));
        std::thread::sleep(ms(300));
        if quit {
            scene.server.supervisor.signal(Signal::SIGQUIT);
            scene.server.await_end(LIMIT)?;
        } else {
            let without = scene.server.conf.split("[old]").next().unwrap_or_default().to_owned();
            scene.server.sandbox.put("fpm.conf", &without)?;
            scene.server.reload()?;
            // SIGTERM would end the workers that still serve the last clients.
            testkit::clock::wait_until("the end of the former", LIMIT, || scene.server.zygotes().len() == 1)?;
            scene.server.stop()?;
        }
        let tally = load.stop();
        say(&tally.summary());
        tally.expect_no_failure()?;
    }
    Ok(())
}

fn until_refused(to: &Address, request: &Request) -> Job {
    let (to, request) = (to.clone(), request.clone());
    Box::new(move || {
        let Ok(mut client) = Client::connect(&to, LIMIT) else {
            std::thread::sleep(ms(5));
            return Ok(());
        };
        let body = client.ask(&request)?.body();
        ensure!(body == "hello", "{body}");
        Ok(())
    })
}
