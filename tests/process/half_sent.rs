//! Requests that arrive in pieces, and clients that do not read answers: they occupy no worker, and a slow client is
//! served.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once, kind, pairs, record};
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::stream::Stream;
use testkit::target::Target;
use testkit::{Outcome, ensure, say, turn};

/// The longest time of a complete request beside so many incomplete ones.
fn worst(server: &Server, count: usize) -> Outcome<Duration> {
    let mut worst = Duration::ZERO;
    for _ in 0..count {
        let start = Instant::now();
        let body = ask_once(&server.address, &server.hello(), ms(60_000))?;
        ensure!(body == "hello", "{body}");
        worst = worst.max(start.elapsed());
    }
    Ok(worst)
}

/// Clients that have sent a part of a request.
fn half(server: &Server, count: usize, bytes: &[u8]) -> Outcome<Vec<Client>> {
    let one = || -> Outcome<Client> {
        let mut client = Client::connect(&server.address, ms(20_000))?;
        client.send(bytes)?;
        Ok(client)
    };
    (0..count).map(|_| one()).collect()
}

#[test]
fn they_stall_nobody() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for listen in [Listen::Unix, Listen::Tcp] {
        let server = Server::start(&target, &Setup::new(4).listen(listen))?;
        let whole = server.hello().keep().encode(1);
        let large = server.hello().param("HTTP_LARGE", &"l".repeat(200_000)).encode(1);
        let cuts = [&whole[..1], &whole[..12], &whole[..60], &whole[..whole.len() - 9], &large[..150_000]];
        let mut clients = Vec::new();
        for bytes in cuts {
            clients.push((bytes.len(), half(&server, 8, bytes)?));
            let took = worst(&server, 20)?;
            say(&format!("{listen:?}, {} bytes: {took:?}", bytes.len()));
            ensure!(took < bar(ms(1000)), "{listen:?}, {} bytes: {took:?}", bytes.len());
        }
        // Clients that send the rest are served, even if their worker has served others meanwhile.
        for (sent, clients) in clients {
            let rest = if sent == 150_000 { &large[sent..] } else { &whole[sent..] };
            for mut client in clients {
                client.send(rest)?;
                let body = client.answer()?.body();
                ensure!(body == "hello", "{listen:?}, after {sent} bytes: {body}");
            }
        }
        server.stop()?;
    }
    Ok(())
}

/// One byte at a time: each byte is read, and other clients are served too.
#[test]
fn who_trickles_stalls_nobody() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(2))?;
    let bytes = server.hello().encode(1);
    let stop = Arc::new(AtomicBool::new(false));
    let trickles: Vec<_> = half(&server, 16, &bytes[..40])?
        .into_iter()
        .map(|mut client| {
            let (bytes, stop) = (bytes.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                for byte in &bytes[40..bytes.len() - 1] {
                    if stop.load(Ordering::SeqCst) || client.send(&[*byte]).is_err() {
                        break;
                    }
                    std::thread::sleep(ms(2));
                }
            })
        })
        .collect();
    let took = worst(&server, 200)?;
    stop.store(true, Ordering::SeqCst);
    trickles.into_iter().for_each(|thread| drop(thread.join()));
    say(&format!("{took:?}"));
    ensure!(took < bar(ms(1000)), "{took:?}");
    server.stop()
}

/// A client that is slow for a good reason is served although its worker leaves, the server reloads, all workers are
/// busy, and the server stops.
#[test]
fn a_slow_client_is_served() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut server =
        Server::start(&target, &Setup::new(1).pool("pm.max_requests = 3").pool("pm.status_path = /status"))?;
    let request = Request::post(&server.sandbox.page("echo.php"), b"abc").param("X_TEST", "slow");
    let bytes = request.encode(1);
    let third = bytes.len() / 3;
    let (first, rest) = bytes.split_at(third);
    let (second, last) = rest.split_at(third);
    let served = |client: &mut Client| -> Outcome {
        client.send(last)?;
        let body = client.answer()?.body();
        ensure!(body == "3 352441c2 slow", "{body}");
        Ok(())
    };
    let begin = |server: &Server| -> Outcome<Client> {
        let mut client = half(server, 1, first)?.pop().ok_or("no client")?;
        std::thread::sleep(ms(150));
        client.send(second)?;
        std::thread::sleep(ms(150));
        Ok(client)
    };
    let mut slow = begin(&server)?;
    // Its worker is replaced twice.
    worst(&server, 8)?;
    served(&mut slow)?;
    let mut slow = begin(&server)?;
    server.reload()?;
    served(&mut slow)?;
    let mut slow = begin(&server)?;
    let mut busy = Client::connect(&server.address, ms(20_000))?;
    busy.send(&Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=500").encode(1))?;
    served(&mut slow)?;
    busy.answer()?;
    // A request is counted once, in however many pieces it arrives.
    let page = Request::of_pool("/status", "json");
    let status: serde_json::Value = serde_json::from_str(&ask_once(&server.address, &page, ms(20_000))?)?;
    ensure!(status["accepted conn"] == 13, "8 others, 3 slow ones, a busy one and this: {status}");
    let mut slow = begin(&server)?;
    server.supervisor.signal(Signal::SIGQUIT);
    std::thread::sleep(ms(100));
    served(&mut slow)?;
    server.await_end(bar(ms(10_000)))?;
    Ok(())
}

/// The client floods its worker with management records and reads nothing.
#[test]
fn who_reads_no_answers_is_closed() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for listen in [Listen::Unix, Listen::Tcp] {
        let server = Server::start(&target, &Setup::new(1).listen(listen))?;
        let asked = [("FCGI_MPXS_CONNS".to_owned(), String::new())];
        let values = record(kind::GET_VALUES, 0, &pairs(&asked)).repeat(200);
        let head = server.hello().encode(1)[..16].to_vec();
        for before in [Vec::new(), head] {
            let mut stream = server.address.connect(ms(60_000))?;
            stream.write_all(&before)?;
            let values = values.clone();
            let flood = std::thread::spawn(move || flood(&mut stream, &values));
            let start = Instant::now();
            let took = worst(&server, 3)?;
            wait_until("the flood is over", bar(ms(10_000)), || flood.is_finished())?;
            say(&format!("{listen:?}: {took:?}, closed after {:?}", start.elapsed()));
            ensure!(took < bar(ms(2000)), "{listen:?}, after {} bytes: {took:?}", before.len());
            let _ = flood.join();
        }
        server.stop()?;
    }
    Ok(())
}

/// Sends until the connection is closed.
fn flood(stream: &mut Stream, values: &[u8]) {
    while stream.write_all(values).is_ok() {}
}
