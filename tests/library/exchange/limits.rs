//! Which requests are refused, and how long the exchange waits for a client.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use cgi_fpm::exchange::{Arrival, ClientGone, Exchange, Limits, Reason};
use cgi_fpm::fastcgi::record::RecordType;
use cgi_fpm::fastcgi::request::{ParamsLimits, Refusal};

use super::{CAPACITY, PATIENCE, all_body, connected, connected_with, short, to_end};
use crate::wire::{Request, begin, ends, push_record, record, records, stream};

#[test]
fn garbage_is_refused() {
    let (mut exchange, mut client) = connected();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Refused(Reason::Protocol(Refusal::Version(b'G'))));
    assert!(exchange.connection().is_none());
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Closed);
}

#[test]
fn too_many_bytes_or_pairs_are_refused() {
    let limits = Limits { params: ParamsLimits { bytes: 1000, pairs: 2 }, ..Limits::default() };
    let (mut exchange, mut client) = connected_with(limits);
    client.write_all(&Request::get(&"x".repeat(1000), true).encode()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Refused(Reason::Protocol(Refusal::ParamsTooLarge(1000))));
    let (mut exchange, mut client) = connected_with(limits);
    let mut request = Request::get("/a", true);
    request.pairs.push((b"THIRD".to_vec(), Vec::new()));
    client.write_all(&request.encode()).unwrap();
    assert!(matches!(exchange.arrive(PATIENCE), Arrival::Refused(Reason::Protocol(Refusal::Params(_)))));
}

#[test]
fn a_silent_client_pins_nobody() {
    let (mut exchange, mut client) = connected_with(short());
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NothingYet);
    assert_eq!(exchange.arrive(Duration::from_millis(20)), Arrival::NothingYet);
    client.write_all(&Request::get("/a.php", true).encode()[..30]).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Refused(Reason::HeaderTimeout));
}

#[test]
fn a_client_that_trickles_is_refused_in_time() {
    let (mut exchange, mut client) = connected_with(short());
    let trickle = thread::spawn(move || {
        while client.write_all(&record(RecordType::Stdin, 9, b"stray")).is_ok() {
            thread::sleep(Duration::from_millis(1));
            if client.write_all(&begin(1, 1, true)[..1]).is_err() {
                break;
            }
        }
    });
    let start = Instant::now();
    while !matches!(exchange.arrive(Duration::from_millis(10)), Arrival::Refused(_)) {}
    assert!(start.elapsed() < Duration::from_secs(2));
    trickle.join().unwrap();
}

/// The client stops before a request, inside its parameters, and inside its body.
#[test]
fn who_reads_no_answers_to_its_management_records_is_given_up() {
    for head in [Vec::new(), begin(1, 1, true), Request::post(b"", true).head()] {
        let (mut exchange, mut client) = connected_with(short());
        client.write_all(&head).unwrap();
        let flood = thread::spawn(move || {
            let values = record(RecordType::GetValues, 0, b"\x0f\x00FCGI_MPXS_CONNS").repeat(100);
            while client.write_all(&values).is_ok() {}
            client
        });
        let start = Instant::now();
        loop {
            match exchange.arrive(Duration::from_millis(10)) {
                Arrival::Request => assert_eq!(all_body(&mut exchange), b""),
                Arrival::NothingYet | Arrival::NoRequest | Arrival::Unfinished => {}
                Arrival::Closed | Arrival::Refused(_) => break,
            }
            if exchange.aborted() {
                exchange.finish();
                exchange.close();
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(5), "{} bytes of head", head.len());
        }
        drop(flood.join().unwrap());
    }
}

#[test]
fn a_stalled_body_ends() {
    let (mut exchange, mut client) = connected_with(short());
    let request = Request::post(b"", true);
    let mut bytes = request.head();
    push_record(&mut bytes, RecordType::Stdin, 1, b"part", 0);
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert_eq!(all_body(&mut exchange), b"part");
    assert!(exchange.aborted());
    exchange.write(b"an answer all the same").unwrap();
    exchange.finish();
    assert!(!exchange.keeps());
    assert_eq!(ends(&records(&to_end(&mut client))), 1);
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let limits = Limits { send: Some(Duration::from_millis(50)), ..short() };
    let (mut exchange, mut client) = connected_with(limits);
    client.write_all(&Request::get("/a.php", true).encode()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    let text = vec![b'x'; 4_000_000];
    assert_eq!(exchange.write(&text), Err(ClientGone));
}

#[test]
fn a_client_that_still_sends_can_read_its_answer() {
    let (mut exchange, mut client) = connected();
    let body = vec![b'x'; 3_000_000];
    let bytes = Request::post(&body, false).encode();
    let sender = thread::spawn(move || {
        client.write_all(&bytes).unwrap();
        to_end(&mut client)
    });
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    exchange.write(b"too large").unwrap();
    exchange.finish();
    assert_eq!(stream(&records(&sender.join().unwrap()), RecordType::Stdout), b"too large");
}

#[test]
fn a_client_that_never_stops_sending_is_left() {
    let (mut exchange, mut client) = connected_with(short());
    client.write_all(&Request::post(b"", false).head()).unwrap();
    let sender = thread::spawn(move || {
        let piece = record(RecordType::Stdin, 1, &[b'x'; 10_000]);
        while client.write_all(&piece).is_ok() {}
    });
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    let start = Instant::now();
    exchange.finish();
    assert!(start.elapsed() < Duration::from_secs(1));
    sender.join().unwrap();
}

#[test]
fn a_rest_of_a_body_does_not_hold_the_worker() {
    let (mut exchange, mut client) = connected();
    client.write_all(&Request::post(b"", true).head()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    exchange.finish();
    let piece = record(RecordType::Stdin, 1, &[b'x'; 10_000]);
    for _ in 0..100 {
        client.write_all(&piece).unwrap();
        assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NoRequest);
    }
}

#[test]
fn over_tcp_an_early_answer_is_not_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut exchange = Exchange::new(Limits::default(), CAPACITY);
    exchange.attach(listener.accept().unwrap().0.into());
    let bytes = Request::post(&vec![b'x'; 10_000_000], false).encode();
    let sender = thread::spawn(move || {
        client.write_all(&bytes).unwrap();
        thread::sleep(Duration::from_millis(20));
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        answer
    });
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    exchange.write(b"too large").unwrap();
    exchange.finish();
    assert_eq!(stream(&records(&sender.join().unwrap()), RecordType::Stdout), b"too large");
}

#[test]
fn the_body_can_be_read_after_the_answer_on_a_kept_connection() {
    let (mut exchange, mut client) = connected();
    let request = Request { padding: 5, ..Request::post(b"late", true) };
    client.write_all(&request.head()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    exchange.finish();
    client.write_all(&request.encode()[request.head().len()..]).unwrap();
    assert_eq!(all_body(&mut exchange), b"late");
    assert!(exchange.detach().is_some());
}

#[test]
fn whether_a_body_is_empty_takes_none_of_it() {
    for (body, empty) in [(&b""[..], true), (b"some", false)] {
        let (mut exchange, mut client) = connected();
        let request = Request::post(body, false);
        client.write_all(&request.head()).unwrap();
        assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
        let rest = request.encode()[request.head().len()..].to_vec();
        let sender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            client.write_all(&rest).unwrap();
            client
        });
        assert_eq!((exchange.body_is_empty(), exchange.body_is_empty()), (empty, empty));
        assert_eq!(all_body(&mut exchange), body);
        sender.join().unwrap();
    }
    let (mut exchange, mut client) = connected_with(short());
    client.write_all(&Request::post(b"late", false).head()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert!(!exchange.body_is_empty() && exchange.aborted());
}
