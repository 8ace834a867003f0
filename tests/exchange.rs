//! An exchange over a socket pair, against clients of all manners.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod wire;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use cgi_fpm::fastcgi::management::Capacity;
use cgi_fpm::fastcgi::params::push_pair;
use cgi_fpm::fastcgi::record::Kind;
use cgi_fpm::fastcgi::request::{ParamsLimits, Refusal};
use cgi_fpm::worker::exchange::{
    Arrival, ClientGone, Description, Exchange, Limits, NoProgress, Outcome, Progress, Reason, Stage,
};
use wire::{Request, begin, ends, push_record, record, records, stream};

const PATIENCE: Duration = Duration::from_secs(5);
const CAPACITY: Capacity = Capacity { max_children: 7 };

fn short() -> Limits {
    let brief = Duration::from_millis(50);
    Limits { header: brief, body: brief, linger: brief, ..Limits::default() }
}

fn connected_with(limits: Limits) -> (Exchange, UnixStream) {
    let (server, client) = UnixStream::pair().unwrap();
    let mut exchange = Exchange::new(limits, CAPACITY, Box::new(NoProgress));
    exchange.attach(server.into());
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    (exchange, client)
}

fn connected() -> (Exchange, UnixStream) {
    connected_with(Limits::default())
}

fn all_body(exchange: &mut Exchange) -> Vec<u8> {
    let mut body = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match exchange.read_body(&mut buffer) {
            0 => return body,
            count => body.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Serves until the client closes: the answer is the script's name, a colon and the body.
fn serve_all(exchange: &mut Exchange) -> (usize, Arrival) {
    let mut served = 0;
    loop {
        match exchange.arrive(PATIENCE) {
            Arrival::Request => {
                let script = exchange.param_c(b"SCRIPT_FILENAME").unwrap().to_owned();
                let body = all_body(exchange);
                exchange.write(script.to_bytes()).unwrap();
                exchange.write(b":").unwrap();
                exchange.write(&body).unwrap();
                assert!(exchange.finish());
                served += 1;
                if !exchange.keeps() {
                    return (served, Arrival::Closed);
                }
            }
            other => return (served, other),
        }
    }
}

/// What is there to read without waiting.
fn in_socket(client: &mut UnixStream) -> Vec<u8> {
    client.set_nonblocking(true).unwrap();
    let mut bytes = vec![0; 1024 * 1024];
    let count = client.read(&mut bytes).unwrap_or(0);
    client.set_nonblocking(false).unwrap();
    bytes.truncate(count);
    bytes
}

fn to_end(client: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_get_on_a_new_connection() {
    let (mut exchange, mut client) = connected();
    client.write_all(&Request::get("/a.php", false).encode()).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Request);
    assert_eq!(exchange.params().get(b"SCRIPT_FILENAME"), Some(&b"/a.php"[..]));
    assert_eq!(exchange.params().iter().next().unwrap(), (c"FCGI_ROLE", &b"RESPONDER"[..]));
    exchange.write(b"Content-Type: text/plain\r\n\r\nhello").unwrap();
    assert!(exchange.finish());
    assert!(!exchange.finish());
    assert!(!exchange.keeps());
    assert!(exchange.connection().is_none());
    assert_eq!(exchange.param_c(b"REQUEST_METHOD"), Some(c"GET"), "parameters outlive the connection");
    let answer = records(&to_end(&mut client));
    assert_eq!(stream(&answer, Kind::Stdout), b"Content-Type: text/plain\r\n\r\nhello");
    assert_eq!(answer.last().unwrap(), &(Kind::EndRequest, 1, vec![0; 8]));
    assert_eq!(answer.len(), 2);
}

#[test]
fn byte_by_byte() {
    let (mut exchange, mut client) = connected();
    let bytes = Request { padding: 3, piece: 100, ..Request::post(&[b'x'; 1000], true) }.encode();
    let sender = thread::spawn(move || {
        for byte in bytes {
            client.write_all(&[byte]).unwrap();
            thread::yield_now();
        }
        client.shutdown(Shutdown::Write).unwrap();
        to_end(&mut client)
    });
    assert_eq!(serve_all(&mut exchange), (1, Arrival::Closed));
    let answer = records(&sender.join().unwrap());
    assert_eq!(stream(&answer, Kind::Stdout).len(), "/post.php:".len() + 1000);
}

#[test]
fn params_in_records_of_seven_bytes() {
    let (mut exchange, mut client) = connected();
    let mut request = Request { piece: 7, padding: 1, ..Request::get("/seven.php", true) };
    for number in 0..200 {
        request.pairs.push((format!("HTTP_X_{number}").into(), vec![b'v'; number * 3]));
    }
    client.write_all(&request.encode()).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Request);
    assert_eq!(exchange.params().len(), 203);
    for (name, value) in &request.pairs {
        assert_eq!(exchange.params().get(name), Some(&value[..]));
    }
}

#[test]
fn params_larger_than_the_buffer_stay_while_the_body_is_read() {
    let (mut exchange, mut client) = connected();
    let mut request = Request::post(&vec![b'b'; 500_000], true);
    for number in 0..9 {
        request.pairs.push((format!("HTTP_LARGE_{number}").into(), vec![b'0' + number; 100_000]));
    }
    let bytes = request.encode();
    let sender = thread::spawn(move || client.write_all(&bytes).map(|()| client).unwrap());
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    let at = exchange.params().get(b"HTTP_LARGE_3").unwrap().as_ptr();
    assert_eq!(all_body(&mut exchange), request.body);
    assert_eq!(exchange.params().get(b"HTTP_LARGE_3").unwrap().as_ptr(), at);
    for (name, value) in &request.pairs {
        assert_eq!(exchange.params().get(name), Some(&value[..]));
    }
    drop(sender.join().unwrap());
}

#[test]
fn five_pipelined_requests() {
    let (mut exchange, mut client) = connected();
    let mut bytes = Vec::new();
    for number in 0..5 {
        let request = Request { id: 1 + number, ..Request::post(format!("body {number}").as_bytes(), true) };
        bytes.extend_from_slice(&request.encode());
    }
    client.write_all(&bytes).unwrap();
    for number in 0..5 {
        assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Request);
        assert_eq!(all_body(&mut exchange), format!("body {number}").into_bytes());
        exchange.finish();
        assert_eq!(exchange.has_bytes(), number < 4);
        assert!(exchange.keeps());
    }
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NothingYet);
    assert!(exchange.detach().is_some());
    assert_eq!(ends(&records(&in_socket(&mut client))), 5);
}

#[test]
fn pipelined_behind_an_unread_body() {
    let (mut exchange, mut client) = connected();
    let mut bytes = Request::post(&[b'u'; 10_000], true).encode();
    bytes.extend_from_slice(&Request::get("/next.php", true).encode());
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Request);
    exchange.finish();
    assert!(exchange.has_bytes());
    assert!(exchange.detach().is_none());
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Request);
    assert_eq!(exchange.param_c(b"SCRIPT_FILENAME"), Some(c"/next.php"));
}

#[test]
fn a_body_that_comes_after_its_answer_is_skipped() {
    let (mut exchange, mut client) = connected();
    let request = Request::post(&[b'u'; 10_000], true);
    let bytes = request.encode();
    let (first, second) = bytes.split_at(request.head().len() + 100);
    client.write_all(first).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Request);
    exchange.finish();
    assert!(exchange.keeps());
    assert!(exchange.detach().is_none(), "in the middle of a record");
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NothingYet);
    client.write_all(second).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NothingYet);
    client.write_all(&Request::get("/next.php", true).encode()).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Request);
    assert_eq!(exchange.param_c(b"SCRIPT_FILENAME"), Some(c"/next.php"));
}

#[test]
fn a_body_larger_than_the_buffer() {
    let (mut exchange, mut client) = connected();
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    let bytes = Request { padding: 5, ..Request::post(&body, false) }.encode();
    let sender = thread::spawn(move || {
        client.write_all(&bytes).unwrap();
        to_end(&mut client)
    });
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    let script = exchange.param_c(b"SCRIPT_FILENAME").unwrap().as_ptr();
    let mut read = Vec::new();
    for size in [1, 7, 5_000, 100_000, 16_384].into_iter().cycle() {
        let mut buffer = vec![0; size];
        let count = exchange.read_body(&mut buffer);
        read.extend_from_slice(&buffer[..count]);
        if count < size {
            break;
        }
    }
    assert!(read == body);
    assert!(!exchange.aborted());
    assert_eq!(exchange.param_c(b"SCRIPT_FILENAME").unwrap().as_ptr(), script);
    assert_eq!(exchange.param_c(b"SCRIPT_FILENAME"), Some(c"/post.php"));
    exchange.finish();
    assert_eq!(ends(&records(&sender.join().unwrap())), 1);
}

#[test]
fn twenty_megabytes_of_answer() {
    let text: Vec<u8> = (0..20_000_003_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[2]).collect();
    for (size, total) in
        [(20_000_003, 20_000_003), (70_001, 2_000_000), (65_528, 2_000_000), (8_192, 2_000_000), (999, 500_000)]
    {
        let text = &text[..total];
        let (mut exchange, mut client) = connected();
        client.write_all(&Request::get("/big.php", false).encode()).unwrap();
        let receiver = thread::spawn(move || to_end(&mut client));
        assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
        exchange.write(b"X: y\r\n\r\n").unwrap();
        for piece in text.chunks(size) {
            exchange.write(piece).unwrap();
        }
        exchange.finish();
        let answer = stream(&records(&receiver.join().unwrap()), Kind::Stdout);
        assert!(&answer[8..] == text, "in pieces of {size}");
    }
}

#[test]
fn stderr_keeps_its_place() {
    let (mut exchange, mut client) = connected();
    client.write_all(&Request::get("/log.php", true).encode()).unwrap();
    exchange.arrive(PATIENCE);
    exchange.write(b"one").unwrap();
    exchange.write_stderr(b"PHP message: two\n");
    exchange.write(b"three").unwrap();
    exchange.write_stderr(b"");
    exchange.finish();
    exchange.write(b"dropped").unwrap();
    exchange.flush().unwrap();
    let kinds: Vec<Kind> = records(&in_socket(&mut client)).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, [Kind::Stdout, Kind::Stderr, Kind::Stdout, Kind::EndRequest]);
}

#[test]
fn a_flush_sends_what_is_there() {
    let (mut exchange, mut client) = connected();
    client.write_all(&Request::get("/flush.php", true).encode()).unwrap();
    exchange.arrive(PATIENCE);
    exchange.flush().unwrap();
    exchange.write(b"now").unwrap();
    assert_eq!(in_socket(&mut client), b"");
    exchange.flush().unwrap();
    assert_eq!(stream(&records(&in_socket(&mut client)), Kind::Stdout), b"now");
}

#[test]
fn a_slow_script_sends_piece_by_piece() {
    let (mut exchange, mut client) = connected();
    client.write_all(&Request::get("/slow.php", true).encode()).unwrap();
    exchange.arrive(PATIENCE);
    thread::sleep(Duration::from_millis(20));
    exchange.write(&[b'a'; 4000]).unwrap();
    assert_eq!(in_socket(&mut client), b"", "less than a piece");
    exchange.write(&[b'b'; 4200]).unwrap();
    assert_eq!(stream(&records(&in_socket(&mut client)), Kind::Stdout).len(), 8200);
    drop(client);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(exchange.write(&[b'c'; 9000]), Err(ClientGone), "and learns that its client has gone");
}

#[test]
fn abort_in_the_body() {
    let (mut exchange, mut client) = connected();
    let request = Request::post(b"", true);
    let mut bytes = request.head();
    push_record(&mut bytes, Kind::Stdin, 1, b"part", 0);
    push_record(&mut bytes, Kind::AbortRequest, 1, b"", 0);
    bytes.extend_from_slice(&Request::get("/after.php", true).encode());
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    exchange.write(b"unwanted").unwrap();
    assert_eq!(all_body(&mut exchange), b"part");
    assert!(exchange.aborted());
    assert_eq!(exchange.write(b"x"), Err(ClientGone));
    exchange.finish();
    assert_eq!(records(&in_socket(&mut client)), [(Kind::EndRequest, 1, vec![0; 8])]);
    assert!(exchange.keeps());
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert!(!exchange.aborted());
}

#[test]
fn abort_in_the_params_and_a_role_nobody_has() {
    let (mut exchange, mut client) = connected();
    let mut bytes = begin(5, 1, true);
    bytes.extend_from_slice(&record(Kind::AbortRequest, 5, b""));
    bytes.extend_from_slice(&begin(6, 9, true));
    bytes.extend_from_slice(&record(Kind::Params, 6, b"stray"));
    bytes.extend_from_slice(&begin(7, 2, true));
    bytes.extend_from_slice(&record(Kind::Params, 7, b""));
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert_eq!(exchange.params().get(b"FCGI_ROLE"), Some(&b"AUTHORIZER"[..]));
    assert_eq!(exchange.params().len(), 1);
    let expected = [(Kind::EndRequest, 5, vec![0; 8]), (Kind::EndRequest, 6, vec![0, 0, 0, 0, 3, 0, 0, 0])];
    assert_eq!(records(&in_socket(&mut client)), expected);
}

#[test]
fn a_second_request_beside_an_active_one() {
    let (mut exchange, mut client) = connected();
    let request = Request::post(b"body", true);
    let mut bytes = begin(1, 1, true);
    bytes.extend_from_slice(&begin(2, 1, true));
    bytes.extend_from_slice(&record(Kind::Params, 2, b"\x01\x01ab"));
    bytes.extend_from_slice(&request.encode()[16..]);
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert_eq!(exchange.params().len(), 3);
    assert_eq!(all_body(&mut exchange), b"body");
    assert_eq!(records(&in_socket(&mut client)), [(Kind::EndRequest, 2, vec![0, 0, 0, 0, 1, 0, 0, 0])]);
}

#[test]
fn management_records_are_answered_at_any_time() {
    let (mut exchange, mut client) = connected();
    let mut query = Vec::new();
    for name in [&b"FCGI_MAX_CONNS"[..], b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS"] {
        push_pair(&mut query, name, b"");
    }
    let get_values = record(Kind::GetValues, 0, &query);
    let request = Request::post(b"body", true);
    let mut bytes = get_values.clone();
    bytes.extend_from_slice(&record(Kind::Other(99), 0, b"what"));
    bytes.extend_from_slice(&request.head());
    bytes.extend_from_slice(&get_values);
    bytes.extend_from_slice(&request.encode()[request.head().len()..]);
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    exchange.write(b"answer").unwrap();
    assert_eq!(all_body(&mut exchange), b"body");
    exchange.finish();
    let answer = records(&in_socket(&mut client));
    let kinds: Vec<Kind> = answer.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(
        kinds,
        [Kind::GetValuesResult, Kind::UnknownType, Kind::GetValuesResult, Kind::Stdout, Kind::EndRequest]
    );
    assert_eq!(answer[0].2, b"\x0e\x01FCGI_MAX_CONNS7\x0d\x01FCGI_MAX_REQS7\x0f\x01FCGI_MPXS_CONNS0");
    assert_eq!(answer[1].2[0], 99);
}

#[test]
fn get_values_alone_leaves_the_connection() {
    let (mut exchange, mut client) = connected();
    client.write_all(&record(Kind::GetValues, 0, b"")).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NothingYet);
    assert_eq!(records(&in_socket(&mut client)), [(Kind::GetValuesResult, 0, vec![])]);
    assert!(exchange.detach().is_some());
}

#[test]
fn a_client_that_closes_early() {
    let (mut exchange, mut client) = connected();
    client.write_all(&Request::get("/a.php", true).encode()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    drop(client);
    exchange.write(b"x").unwrap();
    assert_eq!(exchange.flush(), Err(ClientGone));
    assert!(exchange.aborted());
    assert_eq!(exchange.write(b"y"), Err(ClientGone));
    assert!(exchange.finish());
    assert!(!exchange.keeps());
}

#[test]
fn a_client_that_closes_in_the_middle() {
    for cut in [1, 8, 20, 60] {
        let (mut exchange, mut client) = connected();
        client.write_all(&Request::get("/a.php", true).encode()[..cut]).unwrap();
        drop(client);
        assert_eq!(exchange.arrive(PATIENCE), Arrival::Closed);
        assert!(exchange.connection().is_none());
    }
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let (mut exchange, mut client) = connected();
    let request = Request::post(b"", true);
    let mut bytes = request.head();
    push_record(&mut bytes, Kind::Stdin, 1, b"no end", 0);
    client.write_all(&bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(serve_all(&mut exchange), (1, Arrival::Closed));
    assert!(exchange.aborted());
    let answer = records(&to_end(&mut client));
    assert_eq!(stream(&answer, Kind::Stdout), b"/post.php:no end");
    assert_eq!(ends(&answer), 1);
}

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
        while client.write_all(&record(Kind::Stdin, 9, b"stray")).is_ok() {
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

#[test]
fn a_stalled_body_ends() {
    let (mut exchange, mut client) = connected_with(short());
    let request = Request::post(b"", true);
    let mut bytes = request.head();
    push_record(&mut bytes, Kind::Stdin, 1, b"part", 0);
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
    assert_eq!(stream(&records(&sender.join().unwrap()), Kind::Stdout), b"too large");
}

#[test]
fn a_client_that_never_stops_sending_is_left() {
    let (mut exchange, mut client) = connected_with(short());
    client.write_all(&Request::post(b"", false).head()).unwrap();
    let sender = thread::spawn(move || {
        let piece = record(Kind::Stdin, 1, &[b'x'; 10_000]);
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
    let piece = record(Kind::Stdin, 1, &[b'x'; 10_000]);
    for _ in 0..100 {
        client.write_all(&piece).unwrap();
        assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NothingYet);
    }
}

#[test]
fn over_tcp_an_early_answer_is_not_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut exchange = Exchange::new(Limits::default(), CAPACITY, Box::new(NoProgress));
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
    assert_eq!(stream(&records(&sender.join().unwrap()), Kind::Stdout), b"too large");
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

/// What a keeper was given.
type Kept = Rc<RefCell<Vec<OwnedFd>>>;

fn connected_with_keeper() -> (Exchange, UnixStream, Kept) {
    let kept = Kept::default();
    let (exchange, client) = connected();
    let mine = Rc::clone(&kept);
    let exchange = exchange.with_keeper(Box::new(move |connection| {
        mine.borrow_mut().push(connection);
        Ok(())
    }));
    (exchange, client, kept)
}

#[test]
fn a_released_connection_goes_to_the_keeper_once_its_request_was_read() {
    let (mut exchange, mut client, kept) = connected_with_keeper();
    // The record that ends the body is late: it is in the socket when the answer ends.
    let request = Request::post(b"body", true);
    let (most, end) =
        request.encode().split_at_checked(request.encode().len() - 8).map(|(a, b)| (a.to_vec(), b.to_vec())).unwrap();
    client.write_all(&most).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    client.write_all(&end).unwrap();
    exchange.write(b"x").unwrap();
    assert!(exchange.release());
    assert!(!exchange.release());
    assert_eq!(kept.borrow().len(), 1);
    assert!(exchange.gave_away() && exchange.connection().is_none() && !exchange.keeps() && !exchange.aborted());
    assert!(exchange.param_c(b"SCRIPT_FILENAME").is_some());
    assert_eq!(exchange.write(b"dropped").and(exchange.flush()), Ok(()));
    assert_eq!(ends(&records(&in_socket(&mut client))), 1);
    // It serves on, here as anywhere.
    let connection = kept.borrow_mut().pop().unwrap();
    exchange.attach(connection);
    assert!(!exchange.gave_away());
    client.write_all(&Request::get("/next.php", false).encode()).unwrap();
    assert_eq!(serve_all(&mut exchange), (1, Arrival::Closed));
}

#[test]
fn a_released_connection_with_more_to_read_stays() {
    let request = Request::post(b"late", true);
    let behind = [request.encode(), Request::get("/pipelined.php", true).encode()].concat();
    for (sent, left) in [(request.head(), Some(request.encode()[request.head().len()..].to_vec())), (behind, None)] {
        let (mut exchange, mut client, kept) = connected_with_keeper();
        client.write_all(&sent).unwrap();
        assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
        assert!(exchange.release());
        assert!(kept.borrow().is_empty() && exchange.keeps());
        if let Some(left) = left {
            client.write_all(&left).unwrap();
            assert_eq!(all_body(&mut exchange), b"late");
        } else {
            assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
        }
    }
}

#[test]
fn a_released_connection_that_ends_or_that_nobody_takes() {
    let (mut exchange, mut client, kept) = connected_with_keeper();
    client.write_all(&Request::get("/x.php", false).encode()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert!(exchange.release() && kept.borrow().is_empty() && exchange.connection().is_none());
    to_end(&mut client);
    let (exchange, mut client) = connected();
    let mut exchange = exchange.with_keeper(Box::new(Err));
    client.write_all(&Request::get("/x.php", true).encode()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert!(exchange.release() && !exchange.gave_away() && exchange.keeps());
}

#[test]
fn one_exchange_serves_connection_after_connection() {
    let (mut exchange, mut client) = connected();
    for number in 0..3 {
        client.write_all(&Request::get(&format!("/{number}.php"), true).encode()).unwrap();
        assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
        exchange.write(b"x").unwrap();
        exchange.finish();
        let parked = exchange.detach().unwrap();
        assert!(!exchange.keeps());
        exchange.attach(parked);
    }
    assert_eq!(ends(&records(&in_socket(&mut client))), 3);
    let (server, mut client) = UnixStream::pair().unwrap();
    exchange.attach(server.into());
    client.write_all(&Request::get("/new.php", false).encode()).unwrap();
    assert_eq!(serve_all(&mut exchange), (1, Arrival::Closed));
}

#[derive(Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Progress for Notes {
    fn attached(&self, _connection: BorrowedFd<'_>) {
        self.0.borrow_mut().push("attached".into());
    }
    fn stage(&self, stage: Stage) {
        self.0.borrow_mut().push(format!("{stage:?}"));
    }
    fn described(&self, request: &Description<'_>) {
        self.0.borrow_mut().push(String::from_utf8_lossy(request.method).into());
    }
    fn ended(&self, outcome: &Outcome<'_>) {
        let method = (outcome.variable)(b"REQUEST_METHOD").unwrap_or_default();
        let type_ = (outcome.header)(b"content-type").unwrap_or_default();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        self.0.borrow_mut().push(format!("{} {} {}", outcome.status, text(type_), text(method)));
    }
    fn is_leaving(&self) -> bool {
        false
    }

    fn status(&self) -> Option<cgi_fpm::status::Snapshot> {
        None
    }
}

#[test]
fn progress_is_told() {
    let notes = Rc::new(RefCell::new(Vec::new()));
    let (server, mut client) = UnixStream::pair().unwrap();
    let mut exchange = Exchange::new(Limits::default(), CAPACITY, Box::new(Notes(Rc::clone(&notes))));
    exchange.attach(server.into());
    exchange.arrive(Duration::ZERO);
    assert_eq!(notes.take(), ["attached"]);
    client.write_all(&record(Kind::GetValues, 0, b"")).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NothingYet);
    assert_eq!(notes.take(), ["Reading", "Idle"]);
    client.write_all(&Request::get("/a.php", true).encode()).unwrap();
    exchange.arrive(Duration::ZERO);
    exchange.stage(Stage::Info);
    exchange.described(&Description::of(exchange.params()));
    let variable = |name: &[u8]| exchange.params().get(name);
    exchange.ended(&Outcome { status: 200, memory_peak: 0, header: &|_| Some(b"text/html"), variable: &variable });
    let told = ["Reading", "Info", "GET", "200 text/html GET"];
    assert_eq!(*notes.borrow(), told);
}
