//! The clients, with small servers of the test.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use testkit::Outcome;
use testkit::clock::ms;
use testkit::fastcgi::{kind, record};
use testkit::stream::Address;

use super::{Check, Many, Protocol, Single};
use crate::stats::quantile;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// A server that serves each connection in a thread; it ends with the test program.
fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Outcome<Address> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let (address, serve) = (listener.local_addr()?, Arc::new(serve));
    spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            spawn(move || serve(stream));
        }
    });
    Ok(Address::Tcp(address))
}

/// Answers each request of this length, after what is done before it.
fn answering(mut stream: TcpStream, length: usize, answer: &[u8], mut before: impl FnMut()) {
    let mut request = vec![0; length];
    while stream.read_exact(&mut request).is_ok() {
        before();
        if stream.write_all(answer).is_err() {
            break;
        }
    }
}

fn many<'a>(address: &'a Address, check: &'a Check, connections: usize) -> Many<'a> {
    Many { address, protocol: Protocol::Http, request: REQUEST, check, connections }
}

#[test]
fn an_open_loop_blames_a_stall_for_all_requests_that_were_due() -> Outcome {
    let seen = AtomicUsize::new(0);
    let address = server(move |stream| {
        answering(stream, REQUEST.len(), ANSWER, || {
            if seen.fetch_add(1, Ordering::Relaxed) == 100 {
                sleep(ms(500));
            }
        });
    })?;
    let check = Check::like(b"hello", false);
    let report = many(&address, &check, 1).open(400.0, Duration::from_secs(1))?;
    assert_eq!((report.answered, report.unanswered, report.latencies.len()), (400, 0, 400));
    // 200 requests were due in the stall; 120 of them for more than 200 ms before its end.
    let long = report.latencies.iter().filter(|latency| **latency > ms(200)).count();
    assert!(long >= 100, "{long} long latencies");
    let report = many(&address, &check, 1).closed(100)?;
    assert_eq!((report.answered, report.served), (100, 1));
    assert!(quantile(&report.latencies, 0.5) < ms(200));
    Ok(())
}

#[test]
fn an_open_loop_counts_what_was_not_answered() -> Outcome {
    let address = server(|stream| {
        let mut answers = 0;
        answering(stream, REQUEST.len(), ANSWER, move || {
            answers += 1;
            if answers > 50 {
                sleep(Duration::from_secs(60));
            }
        });
    })?;
    let report = many(&address, &Check::like(b"hello", false), 2).open(1000.0, ms(500))?;
    assert_eq!((report.answered, report.unanswered, report.served), (100, 400, 2));
    // The longest wait lasts until the client gives up.
    assert!(quantile(&report.latencies, 1.0) >= Duration::from_secs(4));
    Ok(())
}

#[test]
fn connections_that_a_web_server_closes_are_opened_again() -> Outcome {
    let address = server(|mut stream| {
        let mut request = [0; REQUEST.len()];
        for _ in 0..10 {
            let _ = stream.read_exact(&mut request).and_then(|()| stream.write_all(ANSWER));
        }
    })?;
    let report = many(&address, &Check::like(b"hello", false), 4).closed(200)?;
    // Answers that arrive together with the last one count as well.
    assert!((200..204).contains(&report.answered), "{}", report.answered);
    assert!(report.reopened >= 15, "{}", report.reopened);
    Ok(())
}

#[test]
fn wrong_answers_fail_a_run() -> Outcome {
    let address = server(|stream| answering(stream, REQUEST.len(), ANSWER, || ()))?;
    let error = many(&address, &Check::like(b"hellO", false), 2).closed(10).err();
    assert!(error.is_some_and(|error| error.to_string().contains("in place of")));
    Ok(())
}

#[test]
fn a_single_client_keeps_its_connection_or_does_not() -> Outcome {
    let answer = [record(kind::STDOUT, 1, b"hello"), record(kind::END_REQUEST, 1, &[0; 8])].concat();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = server(move |stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        answering(stream, REQUEST.len(), &answer, || ());
    })?;
    let check = Check::like(b"hello", false);
    let report = Single::new(&address, REQUEST, true).run(&check, 20)?;
    assert_eq!((report.answered, report.latencies.len(), connections.load(Ordering::Relaxed)), (20, 20, 1));
    Single::new(&address, REQUEST, false).run(&check, 20)?;
    assert_eq!(connections.load(Ordering::Relaxed), 21);
    assert!(Single::new(&address, REQUEST, true).run(&Check::like(b"other", false), 1).is_err());
    Ok(())
}
