//! Messages that cannot be sent to the supervisor, and descriptors that zygotes do not have.

use std::os::fd::AsRawFd as _;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use testkit::clock::{bar, ms, wait_until};
use testkit::inside::{Borrowed, lingering, packet_sockets, send};
use testkit::sandbox::Sandbox;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{ALICE, BOB, GLOBAL, Neighbours, section, start};

/// With a tracer in each worker, and pipes for its output.
const WATCHED: &str = "catch_workers_output = yes\nrequest_terminate_timeout = 60s";

/// The sockets that the supervisor has given to alice's processes.
fn sockets_of_alice(pools: &Neighbours) -> Outcome<Vec<Borrowed>> {
    let mut all = Vec::new();
    for process in pools.all_of(ALICE)? {
        all.extend(packet_sockets(process, pools.server.supervisor)?);
    }
    Ok(all)
}

#[test]
fn neither_words_nor_descriptors_come_back_by_a_socket() -> Outcome {
    let Some(target) = Target::find_as_root() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, WATCHED)?;
    let sockets = sockets_of_alice(&pools)?;
    ensure!(!sockets.is_empty(), "how does the zygote get its orders?");
    let file = std::fs::File::open("/dev/null")?;
    for socket in &sockets {
        for fds in [&[][..], &[file.as_raw_fd()]] {
            let sent = send(&socket.fd, b"\"Stays\"", fds);
            ensure!(sent == Err(Errno::EPIPE), "{} took {} descriptors: {sent:?}", socket.points_to, fds.len());
        }
    }
    pools.server.stop()
}

/// Data from a peer cannot delay the supervisor when it closes the socket.
#[test]
fn a_socket_that_lingers_stalls_nobody() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, WATCHED)?;
    let ways = sockets_of_alice(&pools)?;
    // It must hold the last reference to the data.
    pools.server.supervisor.signal(Signal::SIGSTOP);
    let mut readers = Vec::new();
    for way in ways {
        let (socket, reader) = lingering()?;
        readers.push(reader);
        if send(&way.fd, b"\"Stays\"", &[socket.as_raw_fd()]).is_err() {
            setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 0, l_linger: 0 })?;
        }
    }
    let mark = pools.server.log.mark();
    let asked = Instant::now();
    pools.server.supervisor.signal(Signal::SIGCONT);
    // Data that has arrived is read before that.
    std::thread::sleep(ms(100));
    pools.server.supervisor.signal(Signal::SIGUSR1);
    pools.server.log.wait_for(mark, &["error log file re-opened"], ms(90_000))?;
    let heard = asked.elapsed();
    ensure!(heard < bar(ms(500)), "the supervisor heard SIGUSR1 after {heard:?}");
    ensure!(pools.ask(BOB, "hello.php")? == "hello", "bob");
    pools.server.stop()
}

/// Only the supervisor has the error log: a process with its descriptor could empty it and write any line.
#[test]
fn no_zygote_holds_the_error_log() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let pools = Neighbours::start(&target, "")?;
    pools.server.supervisor.signal(Signal::SIGUSR1);
    wait_until("another log", bar(ms(5000)), || pools.server.log.count("error log file re-opened") == 1)?;
    for process in [pools.all_of(ALICE)?, pools.all_of(BOB)?].concat() {
        let fds = process.fds();
        ensure!(!fds.values().any(|to| to.ends_with("/fpm.log")), "{}: {fds:?}", process.title());
    }
    pools.server.stop()
}

/// Whatever a zygote sends, its log lines belong to its own group.
#[test]
fn a_zygote_can_not_forge_lines_of_others() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    for format in ["default", "json"] {
        let conf = format!("{GLOBAL}log_format = {format}\n{}{}", section(ALICE, 2, ""), section(BOB, 2, ""));
        let pools = Neighbours { server: start(&target, Sandbox::new()?, &conf)? };
        let (server, zygote) = (&pools.server, pools.zygote(ALICE)?);
        let mark = server.log.mark();
        let forged = "first\\n[29-Nov-2026 00:00:00] WARNING: [pool bob] child 4242 exited on signal 11\\u001b[2J";
        pools.say_as(zygote, r#"{"Said":{"level":"Debug","text":"too quiet for the log"}}"#)?;
        pools.say_as(zygote, &format!(r#"{{"Said":{{"level":"Error","text":"{forged}"}}}}"#))?;
        let failed = format!(r#"{{"Worker":{{"pool":0,"slot":0,"says":{{"Failed":"[pool bob] {forged}"}}}}}}"#);
        pools.say_as(zygote, &failed)?;
        pools.say_as(zygote, r#"{"Said":{"level":"Warning","text":"the last"}}"#)?;
        server.log.wait_for(mark, &["the last"], ms(5000))?;
        let seen = server.log.since(mark);
        let lines: Vec<&str> = seen.lines().collect();
        ensure!(lines.len() == 3, "{lines:?}");
        let pid = zygote.pid;
        let begins = match format {
            "json" => [
                r#""level":"error","message":"first\n[29-Nov-2026 00:00:00] WARNING: [pool bob] child 4242"#.to_owned(),
                r#""level":"error","message":"[pool alice] [pool bob] first\n["#.to_owned(),
                format!(r#""level":"warning","message":"the last","group":"alice","pid":{pid}"#),
            ],
            _ => [
                format!("] ERROR: [group alice] zygote {pid}: first\\x0A[29-Nov-2026 00:00:00] WARNING: [pool bob]"),
                "] ERROR: [pool alice] [pool bob] first\\x0A[".to_owned(),
                format!("] WARNING: [group alice] zygote {pid}: the last"),
            ],
        };
        for (line, begin) in lines.iter().zip(&begins) {
            ensure!(line.contains(begin) && !line.contains('\u{1b}'), "{line} is not {begin}");
        }
        ensure!(pools.zygote(ALICE)? == zygote, "it was ended");
        pools.server.stop()?;
    }
    Ok(())
}
