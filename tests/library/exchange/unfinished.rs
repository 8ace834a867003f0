//! Requests that arrive in pieces: one exchange gives the connection away with the bytes it has received, and another
//! continues.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use cgi_fpm::exchange::{Arrival, Exchange, Limits, Reason};
use cgi_fpm::fastcgi::record::RecordType;

use super::{CAPACITY, PATIENCE, all_body, in_socket};
use crate::wire::{Request, begin, record};

fn at_once() -> Limits {
    Limits { moment: Duration::ZERO, ..Limits::default() }
}

fn exchange(limits: Limits) -> Exchange {
    Exchange::new(limits, CAPACITY)
}

/// Moves a partly received request from one exchange to another.
fn hand_over(from: &mut Exchange, to: &mut Exchange) {
    let (rest, until) = from.rest().unwrap();
    let connection = from.detach_unfinished().unwrap();
    assert!(from.connection().is_none() && from.arrive(Duration::ZERO) == Arrival::Closed);
    to.attach_unfinished(connection, &rest, until);
}

/// The kinds of bytes that can precede a request or be part of it.
fn streams() -> Vec<Vec<u8>> {
    let plain = Request { id: 1, ..Request::post(b"some body", true) };
    let padded = Request { id: 7, padding: 5, piece: 11, ..Request::post(b"some body", false) };
    let mut filter = begin(2, 3, true);
    filter.extend_from_slice(&plain_as(2).encode()[16..]);
    let mut mixed = record(RecordType::Other(77), 0, b"what is this");
    mixed.extend(record(RecordType::GetValues, 0, b"\x0f\x00FCGI_MPXS_CONNS"));
    mixed.extend(record(RecordType::Stdin, 9, &[b's'; 40]));
    let head = padded.encode();
    mixed.extend_from_slice(&head[..16]);
    mixed.extend(begin(5, 1, true));
    mixed.extend(record(RecordType::Params, 5, b"of nobody"));
    mixed.extend_from_slice(&head[16..]);
    vec![plain.encode(), padded.encode(), filter, mixed]
}

fn plain_as(id: u16) -> Request {
    Request { id, ..Request::post(b"some body", true) }
}

#[test]
fn cut_anywhere_it_is_the_same_request() {
    for bytes in streams() {
        let mut whole = exchange(at_once());
        let (server, mut client) = UnixStream::pair().unwrap();
        whole.attach(server.into());
        client.write_all(&bytes).unwrap();
        while whole.arrive(PATIENCE) != Arrival::Request {}
        let wanted: Vec<_> = whole.params().iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        let mut put_aside = 0;
        for cut in 1..bytes.len() {
            let (server, mut client) = UnixStream::pair().unwrap();
            let (mut first, mut second) = (exchange(at_once()), exchange(at_once()));
            first.attach(OwnedFd::from(server));
            client.write_all(&bytes[..cut]).unwrap();
            let mut arrival = first.arrive_briefly(Duration::ZERO);
            let taken = if arrival == Arrival::Unfinished {
                put_aside += 1;
                hand_over(&mut first, &mut second);
                assert_eq!(
                    second.arrive_briefly(Duration::ZERO),
                    Arrival::Unfinished,
                    "nothing has come, cut at {cut}"
                );
                // And back.
                hand_over(&mut second, &mut first);
                client.write_all(&bytes[cut..]).unwrap();
                arrival = first.arrive_briefly(Duration::ZERO);
                &mut first
            } else {
                client.write_all(&bytes[cut..]).unwrap();
                &mut first
            };
            while matches!(arrival, Arrival::NothingYet | Arrival::NoRequest) {
                arrival = taken.arrive(PATIENCE);
            }
            assert_eq!(arrival, Arrival::Request, "cut at {cut}");
            let seen: Vec<_> = taken.params().iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
            assert_eq!(seen, wanted, "cut at {cut}");
            assert_eq!(all_body(taken), b"some body", "cut at {cut}");
            assert!(!taken.aborted());
            taken.finish();
            assert_eq!(taken.keeps(), whole_keeps(&bytes), "cut at {cut}");
            assert!(in_socket(&mut client).ends_with(&[0; 8]));
        }
        assert!(put_aside > 40, "only {put_aside} of {} cuts", bytes.len());
    }
}

/// The last request's FCGI_KEEP_CONN.
fn whole_keeps(bytes: &[u8]) -> bool {
    let padded = Request { id: 7, padding: 5, piece: 11, ..Request::post(b"some body", false) }.encode();
    !bytes.windows(16).any(|part| part == &padded[..16])
}

#[test]
fn large_parameters_travel_whole() {
    let mut request = Request::post(b"body", true);
    for number in 0..9 {
        request.pairs.push((format!("HTTP_LARGE_{number}").into(), vec![b'0' + number; 100_000]));
    }
    let bytes = request.encode();
    let (server, mut client) = UnixStream::pair().unwrap();
    let mut present = exchange(at_once());
    present.attach(server.into());
    for piece in bytes.chunks(50_000) {
        client.write_all(piece).unwrap();
        while let Arrival::Unfinished = present.arrive_briefly(Duration::ZERO) {
            let mut next = exchange(at_once());
            hand_over(&mut present, &mut next);
            present = next;
            if in_socket_is_empty(&present) {
                break;
            }
        }
    }
    assert_eq!(all_body(&mut present), b"body");
    for (name, value) in &request.pairs {
        assert_eq!(present.params().get(name), Some(&value[..]));
    }
}

fn in_socket_is_empty(exchange: &Exchange) -> bool {
    let connection = exchange.connection().unwrap();
    !cgi_fpm::sys::socket::await_input(connection, Instant::now()).unwrap()
}

#[test]
fn the_time_for_a_request_goes_on_elsewhere() {
    let limits = Limits { header: Duration::from_millis(60), ..at_once() };
    let bytes = Request::get("/a.php", true).encode();
    let (server, mut client) = UnixStream::pair().unwrap();
    let (mut first, mut second) = (exchange(limits), exchange(limits));
    first.attach(server.into());
    let start = Instant::now();
    let mut at = 0;
    let refused = loop {
        client.write_all(&bytes[at..=at]).unwrap();
        at += 1;
        match first.arrive_briefly(Duration::ZERO) {
            Arrival::Unfinished => hand_over(&mut first, &mut second),
            other => break other,
        }
        std::mem::swap(&mut first, &mut second);
        std::thread::sleep(Duration::from_millis(4));
    };
    assert_eq!(refused, Arrival::Refused(Reason::HeaderTimeout));
    assert!(start.elapsed() < Duration::from_secs(3) && at < bytes.len());
}

/// The worker of the request is late, not the client.
#[test]
fn what_has_come_in_time_is_served_late() {
    let limits = Limits { header: Duration::from_millis(20), ..at_once() };
    let bytes = Request::get("/a.php", true).encode();
    let (server, mut client) = UnixStream::pair().unwrap();
    let (mut first, mut second) = (exchange(limits), exchange(limits));
    first.attach(server.into());
    client.write_all(&bytes[..50]).unwrap();
    assert_eq!(first.arrive_briefly(Duration::ZERO), Arrival::Unfinished);
    hand_over(&mut first, &mut second);
    client.write_all(&bytes[50..]).unwrap();
    std::thread::sleep(Duration::from_millis(40));
    assert_eq!(second.arrive_briefly(Duration::ZERO), Arrival::Request);
}

/// Most clients send right after they have connected.
#[test]
fn a_first_byte_may_come_a_little_later() {
    let bytes = Request::get("/a.php", true).encode();
    let (server, mut client) = UnixStream::pair().unwrap();
    let mut exchange = exchange(at_once());
    exchange.attach(server.into());
    assert_eq!(exchange.arrive_briefly(Duration::from_millis(1)), Arrival::NothingYet);
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        client.write_all(&bytes).unwrap();
        client
    });
    assert_eq!(exchange.arrive_briefly(PATIENCE), Arrival::Request);
    drop(sender.join().unwrap());
}

/// Records that begin no request do not make the wait for one any longer.
#[test]
fn the_wait_for_a_first_byte_has_an_end() {
    let (server, mut client) = UnixStream::pair().unwrap();
    let mut exchange = exchange(at_once());
    exchange.attach(server.into());
    let sender = std::thread::spawn(move || {
        let record = record(RecordType::Stdin, 9, b"of no request");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) && client.write_all(&record).is_ok() {
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let start = Instant::now();
    while exchange.arrive_briefly(Duration::from_millis(20)) == Arrival::NothingYet {}
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    drop(exchange);
    sender.join().unwrap();
}
