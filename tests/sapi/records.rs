//! FastCGI 1.0 records sent directly: cut, pipelined, aborted, unknown and invalid. One worker, which must survive
//! all of them.
#![forbid(unsafe_code)]

use std::io::Write as _;

use testkit::clock::ms;
use testkit::fastcgi::{Client, Record, Request, ask_once, kind, pairs, record, stream};
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Starts a server with one worker, runs the check, and verifies that the same worker still serves.
fn with_one_worker(listen: Listen, check: fn(&Server) -> Outcome) -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1).listen(listen))?;
    let pid = || ask_once(&server.address, &Request::get(&server.sandbox.page("pid.php")), ms(10_000));
    let before = pid()?;
    check(&server)?;
    let after = pid()?;
    ensure!(before == after, "worker {before} hasn't survived: now {after}");
    server.stop()
}

fn connect(server: &Server) -> Outcome<Client> {
    Client::connect(&server.address, ms(10_000))
}

fn echo(server: &Server, body: &[u8]) -> Request {
    Request::post(&server.sandbox.page("echo.php"), body).param("X_TEST", "yes").keep()
}

#[test]
fn byte_by_byte() -> Outcome {
    with_one_worker(Listen::Tcp, |server| {
        let mut client = connect(server)?;
        for byte in echo(server, b"abc").encode(1) {
            client.send(&[byte])?;
        }
        let body = client.answer()?.body();
        ensure!(body == "3 352441c2 yes", "{body}");
        Ok(())
    })
}

#[test]
fn streams_in_small_records() -> Outcome {
    with_one_worker(Listen::Unix, |server| {
        let request = echo(server, &[b'z'; 3000]).param("HTTP_LONG", &"l".repeat(100_000));
        let mut client = connect(server)?;
        for size in [1, 7, 127, 128, 4096] {
            let mut bytes = record(kind::BEGIN_REQUEST, 1, &[0, 1, 1, 0, 0, 0, 0, 0]);
            bytes.extend(stream(kind::PARAMS, 1, &pairs(&request.params), size));
            bytes.extend(stream(kind::STDIN, 1, &request.body, size));
            client.send(&bytes)?;
            let body = client.answer()?.body();
            ensure!(body == "3000 898e6b29 yes", "records of {size}: {body}");
        }
        Ok(())
    })
}

#[test]
fn padding() -> Outcome {
    with_one_worker(Listen::Unix, |server| {
        let mut bytes = Vec::new();
        let plain = echo(server, b"abc").encode(1);
        let mut rest = plain.as_slice();
        while let [_, _, _, _, high, low, ..] = *rest {
            let (one, next) = rest.split_at(8 + usize::from(u16::from_be_bytes([high, low])));
            bytes.extend_from_slice(one);
            let head = bytes.len() - one.len();
            bytes[head + 6] = 255;
            bytes.extend_from_slice(&[b'p'; 255]);
            rest = next;
        }
        let mut client = connect(server)?;
        client.send(&bytes)?;
        let body = client.answer()?.body();
        ensure!(body == "3 352441c2 yes", "{body}");
        Ok(())
    })
}

#[test]
fn pipelined_and_cut_anywhere() -> Outcome {
    with_one_worker(Listen::Unix, |server| {
        let bytes: Vec<u8> = (1..=5).flat_map(|id| echo(server, b"abc").encode(id)).collect();
        let mut client = connect(server)?;
        for cut in (0..bytes.len()).step_by(97) {
            client.send(&bytes[..cut])?;
            client.send(&bytes[cut..])?;
            for id in 1..=5 {
                let answer = client.answer()?;
                ensure!(answer.id == id, "answer {} in place of {id}, cut at {cut}", answer.id);
                ensure!(answer.body() == "3 352441c2 yes", "cut at {cut}: {}", answer.body());
                ensure!(answer.end == [0; 8], "END_REQUEST {:?}", answer.end);
            }
        }
        Ok(())
    })
}

#[test]
fn big_body() -> Outcome {
    with_one_worker(Listen::Tcp, |server| {
        let answer = connect(server)?.ask(&echo(server, &vec![b'z'; 5 << 20]))?;
        ensure!(answer.body() == "5242880 4218d2a6 yes", "{}", answer.body());
        Ok(())
    })
}

#[test]
fn get_values() -> Outcome {
    with_one_worker(Listen::Unix, |server| {
        let asked = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"].map(|name| (name.to_owned(), String::new()));
        let mut client = connect(server)?;
        client.send(&record(kind::GET_VALUES, 0, &pairs(&asked)))?;
        let Some(Record { kind: kind::GET_VALUES_RESULT, id: 0, content }) = client.record()? else {
            return Err("no GET_VALUES_RESULT".into());
        };
        let mpxs = pairs(&[("FCGI_MPXS_CONNS".to_owned(), "0".to_owned())]);
        ensure!(content.windows(mpxs.len()).any(|part| part == mpxs), "{:?}", String::from_utf8_lossy(&content));
        Ok(())
    })
}

#[test]
fn unknown_type_is_answered() -> Outcome {
    if Target::find_ours().is_none() {
        return Ok(());
    }
    with_one_worker(Listen::Unix, |server| {
        let mut client = connect(server)?;
        client.send(&record(77, 0, b"what is this"))?;
        let answer = client.record()?;
        let wanted = Record { kind: kind::UNKNOWN_TYPE, id: 0, content: vec![77, 0, 0, 0, 0, 0, 0, 0] };
        ensure!(answer == Some(wanted), "{answer:?}");
        let body = client.ask(&echo(server, b"abc"))?.body();
        ensure!(body == "3 352441c2 yes", "after it: {body}");
        Ok(())
    })
}

#[test]
fn unknown_role_is_refused() -> Outcome {
    if Target::find_ours().is_none() {
        return Ok(());
    }
    with_one_worker(Listen::Unix, |server| {
        let mut client = connect(server)?;
        client.send(&record(kind::BEGIN_REQUEST, 1, &[0, 9, 0, 0, 0, 0, 0, 0]))?;
        let answer = client.answer()?;
        ensure!(answer.end[4] == 3, "protocolStatus {} in place of FCGI_UNKNOWN_ROLE", answer.end[4]);
        Ok(())
    })
}

/// A client that has sent a whole request except its body.
fn begun(server: &Server, request: &Request) -> Outcome<Client> {
    let mut client = connect(server)?;
    client.send(&record(kind::BEGIN_REQUEST, 1, &[0, 1, 0, 0, 0, 0, 0, 0]))?;
    client.send(&stream(kind::PARAMS, 1, &pairs(&request.params), 65535))?;
    Ok(client)
}

/// The script waits for a body that the client then aborts.
#[test]
fn abort() -> Outcome {
    with_one_worker(Listen::Unix, |server| {
        let request = echo(server, b"0123456789");
        let mut client = begun(server, &request)?;
        client.send(&record(kind::STDIN, 1, b"01234"))?;
        client.send(&record(kind::ABORT_REQUEST, 1, b""))?;
        while client.record().is_ok_and(|record| record.is_some()) {}
        Ok(())
    })
}

/// Whatever bytes arrive, the connection is closed and the worker stays.
#[test]
fn garbage() -> Outcome {
    with_one_worker(Listen::Unix, |server| {
        let noise: Vec<u8> = (0..65536_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let overlong = [&[1, 4, 0, 1, 0, 8, 0, 0][..], &[255; 8]].concat();
        let pieces: [(&str, Vec<u8>); 6] = [
            ("noise", noise),
            ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
            ("version 0", vec![0; 64]),
            (
                "a pair longer than its stream",
                [record(1, 1, &[0, 1, 0, 0, 0, 0, 0, 0]), overlong, record(4, 1, b"")].concat(),
            ),
            ("PARAMS without BEGIN", stream(4, 1, &pairs(&echo(server, b"").params), 65535)),
            ("a short BEGIN", record(1, 1, &[0, 1])),
        ];
        for (name, bytes) in pieces {
            let mut stream = server.address.connect(ms(10_000))?;
            let _ = stream.write_all(&bytes);
            if let testkit::stream::Stream::Unix(unix) = &stream {
                unix.shutdown(std::net::Shutdown::Write)?;
            }
            let ended = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
            let closed = ended.is_ok() || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
            ensure!(closed, "{name}: the connection stays open");
            let body = connect(server)?.ask(&echo(server, b"abc"))?.body();
            ensure!(body == "3 352441c2 yes", "after {name}: {body}");
        }
        Ok(())
    })
}
