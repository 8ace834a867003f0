//! Clients that abort, mix up requests, or close the connection.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use cgi_fpm::exchange::{Arrival, ClientGone};
use cgi_fpm::fastcgi::params::push_pair;
use cgi_fpm::fastcgi::record::RecordType;

use super::{PATIENCE, all_body, connected, in_socket, serve_all, to_end};
use crate::wire::{Request, begin, ends, push_record, record, records, stream};

#[test]
fn abort_in_the_body() {
    let (mut exchange, mut client) = connected();
    let request = Request::post(b"", true);
    let mut bytes = request.head();
    push_record(&mut bytes, RecordType::Stdin, 1, b"part", 0);
    push_record(&mut bytes, RecordType::AbortRequest, 1, b"", 0);
    bytes.extend_from_slice(&Request::get("/after.php", true).encode());
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    exchange.write(b"unwanted").unwrap();
    assert_eq!(all_body(&mut exchange), b"part");
    assert!(exchange.aborted());
    assert_eq!(exchange.write(b"x"), Err(ClientGone));
    exchange.finish();
    assert_eq!(records(&in_socket(&mut client)), [(RecordType::EndRequest, 1, vec![0; 8])]);
    assert!(exchange.keeps());
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert!(!exchange.aborted());
}

#[test]
fn abort_in_the_params_and_a_role_nobody_has() {
    let (mut exchange, mut client) = connected();
    let mut bytes = begin(5, 1, true);
    bytes.extend_from_slice(&record(RecordType::AbortRequest, 5, b""));
    bytes.extend_from_slice(&begin(6, 9, true));
    bytes.extend_from_slice(&record(RecordType::Params, 6, b"stray"));
    bytes.extend_from_slice(&begin(7, 2, true));
    bytes.extend_from_slice(&record(RecordType::Params, 7, b""));
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert_eq!(exchange.params().get(b"FCGI_ROLE"), Some(&b"AUTHORIZER"[..]));
    assert_eq!(exchange.params().len(), 1);
    let expected = [(RecordType::EndRequest, 5, vec![0; 8]), (RecordType::EndRequest, 6, vec![0, 0, 0, 0, 3, 0, 0, 0])];
    assert_eq!(records(&in_socket(&mut client)), expected);
}

#[test]
fn a_second_request_beside_an_active_one() {
    let (mut exchange, mut client) = connected();
    let request = Request::post(b"body", true);
    let mut bytes = begin(1, 1, true);
    bytes.extend_from_slice(&begin(2, 1, true));
    bytes.extend_from_slice(&record(RecordType::Params, 2, b"\x01\x01ab"));
    bytes.extend_from_slice(&request.encode()[16..]);
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert_eq!(exchange.params().len(), 3);
    assert_eq!(all_body(&mut exchange), b"body");
    assert_eq!(records(&in_socket(&mut client)), [(RecordType::EndRequest, 2, vec![0, 0, 0, 0, 1, 0, 0, 0])]);
}

#[test]
fn management_records_are_answered_at_any_time() {
    let (mut exchange, mut client) = connected();
    let mut query = Vec::new();
    for name in [&b"FCGI_MAX_CONNS"[..], b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS"] {
        push_pair(&mut query, name, b"");
    }
    let get_values = record(RecordType::GetValues, 0, &query);
    let request = Request::post(b"body", true);
    let mut bytes = get_values.clone();
    bytes.extend_from_slice(&record(RecordType::Other(99), 0, b"what"));
    bytes.extend_from_slice(&request.head());
    bytes.extend_from_slice(&get_values);
    bytes.extend_from_slice(&request.encode()[request.head().len()..]);
    client.write_all(&bytes).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    exchange.write(b"answer").unwrap();
    assert_eq!(all_body(&mut exchange), b"body");
    exchange.finish();
    let answer = records(&in_socket(&mut client));
    let kinds: Vec<RecordType> = answer.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(
        kinds,
        [
            RecordType::GetValuesResult,
            RecordType::UnknownType,
            RecordType::GetValuesResult,
            RecordType::Stdout,
            RecordType::EndRequest
        ]
    );
    assert_eq!(answer[0].2, b"\x0e\x01FCGI_MAX_CONNS7\x0d\x01FCGI_MAX_REQS7\x0f\x01FCGI_MPXS_CONNS0");
    assert_eq!(answer[1].2[0], 99);
}

#[test]
fn get_values_alone_leaves_the_connection() {
    let (mut exchange, mut client) = connected();
    client.write_all(&record(RecordType::GetValues, 0, b"")).unwrap();
    assert_eq!(exchange.arrive(Duration::ZERO), Arrival::NoRequest);
    assert_eq!(records(&in_socket(&mut client)), [(RecordType::GetValuesResult, 0, vec![])]);
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
    push_record(&mut bytes, RecordType::Stdin, 1, b"no end", 0);
    client.write_all(&bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(serve_all(&mut exchange), (1, Arrival::Closed));
    assert!(exchange.aborted());
    let answer = records(&to_end(&mut client));
    assert_eq!(stream(&answer, RecordType::Stdout), b"/post.php:no end");
    assert_eq!(ends(&answer), 1);
}
