//! Requests and their answers: single, pipelined, in small and in large pieces.

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use cgi_fpm::exchange::{Arrival, ClientGone};
use cgi_fpm::fastcgi::record::RecordType;

use super::{PATIENCE, all_body, connected, in_socket, serve_all, to_end};
use crate::wire::{Request, ends, records, stream};

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
    assert_eq!(stream(&answer, RecordType::Stdout), b"Content-Type: text/plain\r\n\r\nhello");
    assert_eq!(answer.last().unwrap(), &(RecordType::EndRequest, 1, vec![0; 8]));
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
    assert_eq!(stream(&answer, RecordType::Stdout).len(), "/post.php:".len() + 1000);
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
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NoRequest);
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
        let answer = stream(&records(&receiver.join().unwrap()), RecordType::Stdout);
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
    let kinds: Vec<RecordType> = records(&in_socket(&mut client)).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, [RecordType::Stdout, RecordType::Stderr, RecordType::Stdout, RecordType::EndRequest]);
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
    assert_eq!(stream(&records(&in_socket(&mut client)), RecordType::Stdout), b"now");
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
    assert_eq!(stream(&records(&in_socket(&mut client)), RecordType::Stdout).len(), 8200);
    drop(client);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(exchange.write(&[b'c'; 9000]), Err(ClientGone), "and learns that its client has gone");
}
