//! Memory while serving: a request allocates nothing, and no client makes a buffer grow over its limit.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use cgi_fpm::access_log::{Facts, Format};
use cgi_fpm::exchange::{Arrival, Exchange, Limits};
use cgi_fpm::fastcgi::management::Capacity;
use cgi_fpm::fastcgi::params::Params;
use cgi_fpm::fastcgi::record::RecordType;
use cgi_fpm::request::Description;
use cgi_fpm::request_ids::{RequestId, RequestIds, TraceContext};
use cgi_fpm::sys::local_time;

use crate::wire::properties::{LIMITS, read, wild_records};
use crate::wire::{Request, begin, push_record};

/// The system's allocator, with a count.
struct Watched;

thread_local! {
    // Counts this thread only: other tests run at the same time.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        LARGEST.set(LARGEST.get().max(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

#[test]
fn a_kept_request_allocates_nothing() {
    kept_requests(Exchange::new(Limits::default(), Capacity { max_children: 1 }), None);
}

#[test]
fn a_parameter_that_is_set_allocates_nothing() {
    let id = b"7f0c9b1e52a84d6f9c3be0d1a4725f38";
    for name in ["HTTP_X_REQUEST_ID", "HTTP_X_7"] {
        let exchange = Exchange::new(Limits::default(), Capacity { max_children: 1 });
        let set = move |params: &mut Params| assert!(params.set(name.as_bytes(), id));
        kept_requests(exchange.with_arrived(name.len() + id.len() + 2, Box::new(set)), Some((name, id)));
    }
}

/// Serves the same request several times. `set`: a parameter that the exchange has to have.
fn kept_requests(mut exchange: Exchange, set: Option<(&str, &[u8])>) {
    let (server, mut client) = UnixStream::pair().unwrap();
    exchange.attach(server.into());
    let mut request = Request { piece: 1000, ..Request::post(&[b'b'; 5000], true) };
    for number in 0..40 {
        request.pairs.push((format!("HTTP_X_{number}").into(), vec![b'v'; number * 10]));
    }
    let bytes = request.encode();
    let (text, mut body, mut answer) = (vec![b'x'; 50_000], vec![0; 4096], vec![0; 100_000]);
    let mut serve = || {
        client.write_all(&bytes).unwrap();
        assert_eq!(exchange.arrive(Duration::ZERO), Arrival::Request);
        assert!(exchange.params().get(b"HTTP_X_39").is_some_and(|value| value.len() == 390));
        assert!(set.is_none_or(|(name, value)| exchange.params().get(name.as_bytes()) == Some(value)));
        while exchange.read_body(&mut body) > 0 {}
        exchange.write(b"Content-Type: text/plain\r\n\r\n").unwrap();
        exchange.write_stderr(b"PHP message: hello");
        exchange.write(&text).unwrap();
        exchange.write(&text).unwrap();
        exchange.finish();
        client.set_nonblocking(true).unwrap();
        while client.read(&mut answer).is_ok() {}
        client.set_nonblocking(false).unwrap();
    };
    serve();
    let before = CALLS.get();
    (0..100).for_each(|_| serve());
    assert_eq!(CALLS.get() - before, 0);
}

#[test]
fn a_line_of_the_access_log_allocates_nothing() {
    let format = "%R - %u %t \"%m %r%Q%q\" %s %f %{milli}d %{kilo}M %C%% %{HTTP_X}e %{X-Y}o %p %P %{%H}T %n %i %{trace}i %{span}i";
    let format = Format::compile(format).unwrap();
    let value = |_: &[u8]| Some(&b"a\n\xff"[..]);
    let id = RequestId::of_number(7);
    let mut line = Vec::new();
    let mut write = || {
        line.clear();
        let request = Description { method: b"GET", uri: b"/a.php", query: b"b=\"", ..Description::default() };
        let facts = Facts {
            pool: "www",
            pid: 7,
            supervisor: 6,
            remote: Some([192, 0, 2, 1].into()),
            request,
            accepted: 1,
            written: 2,
            written_micros: 0,
            duration: 3,
            cpu: (4, 5),
            memory: 6,
            status: 200,
            ids: Some(RequestIds { request: id, trace: TraceContext::of_numbers((1, 2)) }),
            header: &value,
            variable: &value,
            date: &local_time::push_local_time,
        };
        format.render(&facts, &mut line);
    };
    write();
    let before = CALLS.get();
    (0..100).for_each(|_| write());
    assert_eq!(CALLS.get() - before, 0);
}

#[test]
fn no_stream_takes_more_than_the_limits() {
    // A buffer grows by doubling, and keeps room after the parameters.
    let most = 2 * LIMITS.bytes;
    let plan: Vec<u8> = (0..60_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut streams = vec![wild_records(&plan), plan.clone()];
    for piece in [1, 7, 65_535] {
        let mut bytes = begin(1, 1, true);
        let large = vec![b'A'; 400_000];
        Request { id: 1, piece, padding: 255, ..Request::default() }.stream(&mut bytes, RecordType::Params, &large);
        streams.push(bytes);
    }
    let mut endless = begin(1, 1, true);
    for _ in 0..1000 {
        push_record(&mut endless, RecordType::Stdin, 9, &[0; 65_000], 200);
    }
    streams.push(endless);
    for bytes in &streams {
        LARGEST.set(0);
        // `read` itself keeps bodies, so only the reader's own buffers are that large here.
        read(bytes, &[]);
        assert!(LARGEST.get() <= most, "{}", LARGEST.get());
    }
}
