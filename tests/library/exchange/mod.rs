//! An exchange over a socket pair, with clients of all kinds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod gone;
mod limits;
mod parking;
mod requests;
mod unfinished;

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use cgi_fpm::exchange::{Arrival, Exchange, Limits};
use cgi_fpm::fastcgi::management::Capacity;

const PATIENCE: Duration = Duration::from_secs(5);
const CAPACITY: Capacity = Capacity { max_children: 7 };

fn short() -> Limits {
    let brief = Duration::from_millis(50);
    Limits { header: brief, answers: brief, body: brief, linger: brief, ..Limits::default() }
}

fn connected_with(limits: Limits) -> (Exchange, UnixStream) {
    let (server, client) = UnixStream::pair().unwrap();
    let mut exchange = Exchange::new(limits, CAPACITY);
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

/// The bytes that can be read without waiting.
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
