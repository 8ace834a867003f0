//! Connections that are parked after their answer, or serve one request after another.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use cgi_fpm::exchange::{Arrival, Exchange, Limits};
use cgi_fpm::fastcgi::record::RecordType;

use super::{CAPACITY, PATIENCE, all_body, connected, in_socket, serve_all, to_end};
use crate::wire::{Request, ends, record, records};

/// The parked connections.
type Parked = Rc<RefCell<Vec<OwnedFd>>>;

fn connected_with_parking() -> (Exchange, UnixStream, Parked) {
    let kept = Parked::default();
    let (exchange, client) = connected();
    let mine = Rc::clone(&kept);
    let exchange = exchange.with_parking(Box::new(move |connection| {
        mine.borrow_mut().push(connection);
        Ok(())
    }));
    (exchange, client, kept)
}

#[test]
fn a_released_connection_is_parked_once_its_request_was_read() {
    let (mut exchange, mut client, kept) = connected_with_parking();
    // The record that ends the body is late: it is in the socket by the time the answer ends.
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
    assert!(exchange.parked() && exchange.connection().is_none() && !exchange.keeps() && !exchange.aborted());
    assert!(exchange.param_c(b"SCRIPT_FILENAME").is_some());
    assert_eq!(exchange.write(b"dropped").and(exchange.flush()), Ok(()));
    assert_eq!(ends(&records(&in_socket(&mut client))), 1);
    // The connection continues to serve, here as elsewhere.
    let connection = kept.borrow_mut().pop().unwrap();
    exchange.attach(connection);
    assert!(!exchange.parked());
    client.write_all(&Request::get("/next.php", false).encode()).unwrap();
    assert_eq!(serve_all(&mut exchange), (1, Arrival::Closed));
}

#[test]
fn a_released_connection_with_more_to_read_stays() {
    let request = Request::post(b"late", true);
    let pipelined = [request.encode(), Request::get("/pipelined.php", true).encode()].concat();
    for (sent, left) in [(request.head(), Some(request.encode()[request.head().len()..].to_vec())), (pipelined, None)] {
        let (mut exchange, mut client, kept) = connected_with_parking();
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
    let (mut exchange, mut client, kept) = connected_with_parking();
    client.write_all(&Request::get("/x.php", false).encode()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert!(exchange.release() && kept.borrow().is_empty() && exchange.connection().is_none());
    to_end(&mut client);
    let (exchange, mut client) = connected();
    let mut exchange = exchange.with_parking(Box::new(Err));
    client.write_all(&Request::get("/x.php", true).encode()).unwrap();
    assert_eq!(exchange.arrive(PATIENCE), Arrival::Request);
    assert!(exchange.release() && !exchange.parked() && exchange.keeps());
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

#[test]
fn the_first_byte_of_a_request_is_reported() {
    let count = Rc::new(Cell::new(0));
    let (server, mut client) = UnixStream::pair().unwrap();
    let begun = Rc::clone(&count);
    let mut exchange = Exchange::new(Limits::default(), CAPACITY).with_first_byte(Box::new(move || {
        begun.set(begun.get() + 1);
        0
    }));
    exchange.attach(server.into());
    assert_eq!((exchange.arrive(Duration::ZERO), count.get()), (Arrival::NothingYet, 0));
    client.write_all(&record(RecordType::GetValues, 0, b"")).unwrap();
    assert_eq!((exchange.arrive(Duration::ZERO), count.get()), (Arrival::NoRequest, 1));
    let request = Request::get("/a.php", true).encode();
    client.write_all(&request[..20]).unwrap();
    assert_eq!((exchange.arrive_briefly(Duration::ZERO), count.get()), (Arrival::Unfinished, 2));
}
