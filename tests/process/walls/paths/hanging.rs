//! A user's mount that never answers, and a process that its user stops: they delay only the work that needs them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use testkit::clock::{bar, ms};
use testkit::fastcgi::{Request, ask_once};
use testkit::log::Mark;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::stream::Address;
use testkit::{Outcome, ensure, skip, turn};

use super::{ALICE, BOB, GLOBAL, dir_of, find, hello_of, section, start, swap};

/// A FUSE mount of bob's: its server completes the handshake and then answers nothing. A process that waits for it
/// cannot be killed, so the mount is removed before the server, and before its directory.
pub(super) struct Silent {
    path: PathBuf,
    _device: File,
}

/// They are removed in this order.
pub(super) struct Hung<T> {
    pub(super) silent: Vec<Silent>,
    pub(super) server: T,
}

impl Silent {
    /// On each of these; if mounting is not possible, the test is skipped.
    pub(super) fn mount_all(sandbox: &Sandbox, places: &[&str]) -> Outcome<Option<Vec<Self>>> {
        let mut mounted = Vec::new();
        for place in places {
            mounted.extend(Self::mount(&sandbox.file(place))?);
        }
        if mounted.len() < places.len() {
            skip("no FUSE here");
            return Ok(None);
        }
        Ok(Some(mounted))
    }

    /// On a directory or a file; `None` if mounting is not possible.
    fn mount(path: &Path) -> Outcome<Option<Self>> {
        let rootmode = if path.is_dir() { 40_000 } else { 100_000 };
        let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let Ok(mut device) = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/fuse") else {
            return Ok(None);
        };
        let options =
            format!("fd={},rootmode={rootmode},user_id={},group_id={},allow_other", device.as_raw_fd(), BOB.1, BOB.1);
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        if mount(Some("silent"), path, Some("fuse"), flags, Some(options.as_str())).is_err() {
            return Ok(None);
        }
        let mut request = vec![0; 1 << 16];
        let length = device.read(&mut request)?;
        ensure!(length >= 40 && request[4..8] == 26u32.to_ne_bytes(), "no FUSE_INIT");
        // fuse_out_header with the request's number, and fuse_init_out: version 7.31, and nothing more.
        let mut answer = [0; 16 + 64];
        answer[..4].copy_from_slice(&80u32.to_ne_bytes());
        answer[8..16].copy_from_slice(&request[8..16]);
        answer[16..20].copy_from_slice(&7u32.to_ne_bytes());
        answer[20..24].copy_from_slice(&31u32.to_ne_bytes());
        answer[36..40].copy_from_slice(&4096u32.to_ne_bytes());
        device.write_all(&answer)?;
        Ok(Some(Self { path: path.to_owned(), _device: device }))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    }
}

/// A sandbox with the directories `bob` and `bob/mount`, a mount on the latter, and further directories, all of bob's. If mounting is not
/// possible, the test is skipped.
pub(super) fn bob_with_mount(further: &[&str]) -> Outcome<Option<(Sandbox, Vec<Silent>)>> {
    let sandbox = Sandbox::new()?;
    for name in ["bob", "bob/mount"].iter().chain(further) {
        dir_of(&sandbox, name, BOB.1)?;
    }
    Ok(Silent::mount_all(&sandbox, &["bob/mount"])?.map(|silent| (sandbox, silent)))
}

/// Asks for a reload at once after SIGUSR1, and expects that this delays neither it nor alice's page.
fn reload_at_once(server: &Server, mark: Mark) -> Outcome {
    std::thread::sleep(ms(10));
    let begun = Instant::now();
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["Reloading in progress"], ms(20_000))?;
    ensure!(begun.elapsed() < bar(ms(100)), "it took {:?}", begun.elapsed());
    hello_of(server, ALICE)
}

/// A link into the mount delays SIGUSR1 and a reload by at most the time limit of a directory; the second time much
/// less; the end only a little more. Slow requests do not delay the supervisor at all.
#[test]
fn a_mount_that_hangs_keeps_nobody_else() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let Some((sandbox, silent)) = bob_with_mount(&["bob/logs"])? else { return Ok(()) };
    let lines = "listen = {{DIR}}/bob/logs/php.sock, {{DIR}}/bob.sock\naccess.log = {{DIR}}/bob/logs/access.log\n\
                 slowlog = {{DIR}}/bob/logs/slow.log\nrequest_slowlog_timeout = 1s";
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, "access.log = {{DIR}}/alice.log"), section(BOB, 1, lines));
    let mut hung = Hung { silent, server: start(&target, sandbox, &conf)? };
    let server = &mut hung.server;
    swap(&server.sandbox.file("bob/logs"), &server.sandbox.file("bob/mount/deep"), BOB.1)?;

    let slow = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=1600");
    ask_once(&Address::Unix(server.sandbox.file("bob.sock")), &slow, ms(8000))?;
    // The directory of the slow log has not answered yet, and the supervisor handles this signal.
    let (mark, begun) = (server.log.mark(), Instant::now());
    server.sandbox.configure("[global]\n")?;
    server.supervisor.signal(Signal::SIGUSR2);
    server.log.wait_for(mark, &["reload refused"], ms(5000))?;
    ensure!(begun.elapsed() < bar(ms(5000)), "it took {:?}", begun.elapsed());
    server.log.wait_for(mark, &["unable to open slowlog", "did not answer within 10000 ms"], ms(20_000))?;

    server.sandbox.configure(&conf)?;
    for text in ["unable to re-opened access log file", "access.log): a directory of user 2002 did not answer"] {
        let (mark, begun) = (server.log.mark(), Instant::now());
        server.supervisor.signal(Signal::SIGUSR1);
        server.log.wait_for(mark, &[text], ms(20_000))?;
        ensure!(begun.elapsed() < bar(ms(12_000)), "it took {:?}", begun.elapsed());
        hello_of(server, ALICE)?;
    }
    let begun = Instant::now();
    server.supervisor.signal(Signal::SIGTERM);
    server.await_end(bar(ms(20_000)))?;
    ensure!(begun.elapsed() < bar(ms(15_000)), "the end took {:?}", begun.elapsed());
    Ok(())
}

/// While bob's directory hangs, signals are answered at once, and the logs of others are opened again at once.
#[test]
fn a_mount_that_hangs_delays_no_signal() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let Some((sandbox, silent)) = bob_with_mount(&["bob/logs"])? else { return Ok(()) };
    let lines = "access.log = {{DIR}}/bob/logs/access.log";
    let conf = format!("{GLOBAL}{}{}", section(ALICE, 1, "access.log = {{DIR}}/alice.log"), section(BOB, 1, lines));
    let hung = Hung { silent, server: start(&target, sandbox, &conf)? };
    let server = &hung.server;
    swap(&server.sandbox.file("bob/logs"), &server.sandbox.file("bob/mount/deep"), BOB.1)?;
    server.sandbox.configure("[global]\n")?;
    let log = server.sandbox.file("alice.log");
    for round in 0..3 {
        fs::rename(&log, log.with_extension("old"))?;
        let mark = server.log.mark();
        server.supervisor.signal(Signal::SIGUSR1);
        server.log.wait_for(mark, &["error log file re-opened"], ms(5000))?;
        reload_at_once(server, mark).map_err(|e| format!("round {round}: {e}"))?;
        testkit::clock::wait_until("a line in alice's new log", bar(ms(1000)), || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("hello.php"))
        })?;
        server.log.wait_for(mark, &["reload refused"], ms(10_000))?;
    }
    let mark = server.log.mark();
    server.log.wait_for(mark, &["unable to re-opened access log file"], ms(20_000))?;
    Ok(())
}

/// The error log is in bob's directory, which hangs when it is opened again: signals are handled at once, and the former file is written
/// on.
#[test]
fn an_error_log_that_hangs_delays_no_signal() -> Outcome {
    let Some(target) = find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let Some((sandbox, silent)) = bob_with_mount(&["bob/logs"])? else { return Ok(()) };
    let global = GLOBAL.replace("{{DIR}}/fpm.log", "{{DIR}}/bob/logs/fpm.log");
    let conf = format!("{global}{}", section(ALICE, 1, ""));
    std::os::unix::fs::symlink("bob/logs/fpm.log", sandbox.file("fpm.log"))?;
    let hung = Hung { silent, server: start(&target, sandbox, &conf)? };
    let server = &hung.server;
    swap(&server.sandbox.file("bob/logs"), &server.sandbox.file("bob/mount/deep"), BOB.1)?;
    // The log is where it was moved to.
    fs::remove_file(server.sandbox.file("fpm.log"))?;
    std::os::unix::fs::symlink("bob/logs.away/fpm.log", server.sandbox.file("fpm.log"))?;
    let (file, first) = (&server.log, server.log.mark());
    server.sandbox.configure("[global]\n")?;
    for round in 0..3 {
        let mark = file.mark();
        server.supervisor.signal(Signal::SIGUSR1);
        reload_at_once(server, mark).map_err(|e| format!("round {round}: {e}"))?;
        file.wait_for(mark, &["reload refused"], ms(10_000))?;
    }
    file.wait_for(first, &["failed to open error_log", "a directory of user 2002 did not answer"], ms(20_000))?;
    Ok(())
}
