//! Name services that do not answer: they delay only the group that asks for a name, and no signal.

use std::fs;
use std::net::UdpSocket;
use std::time::Instant;

use testkit::clock::{bar, ms, wait_until};
use testkit::extension;
use testkit::netns::inside_with_file;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{Groups, conf};

const PORT: u16 = 9100;

/// Answers questions for addresses with 127.0.0.1, and all others with nothing.
fn answer(resolver: &UdpSocket) -> Option<()> {
    let mut packet = [0; 512];
    loop {
        let (length, from) = resolver.recv_from(&mut packet).ok()?;
        // The name of the question, its type and class.
        let end = 12 + packet.get(12..length)?.iter().position(|byte| *byte == 0)? + 5;
        let is_v4 = packet.get(end - 4..end - 2)? == [0, 1];
        let mut said = packet.get(..end)?.to_vec();
        said[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0]);
        if is_v4 {
            said.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
        }
        resolver.send_to(&said, from).ok()?;
    }
}

/// For a while, signals are handled soon. Each look-up would delay them by seconds.
fn hears_for_two_seconds(server: &Server) -> Outcome {
    let begun = Instant::now();
    while begun.elapsed() < ms(2_000) {
        let heard = server.hears(ms(15_000))?;
        ensure!(heard < bar(ms(500)), "a signal was handled after {heard:?}: {}", server.log.tail(9));
        std::thread::sleep(ms(20));
    }
    Ok(())
}

/// A host name in `listen`: at a start, and at a reload.
#[test]
fn a_host_that_no_name_server_knows() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    if !inside_with_file("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")? {
        return Ok(());
    }
    let _turn = turn::shared()?;
    let resolver = UdpSocket::bind(("127.0.0.1", 53))?;
    let begun = Instant::now();
    let groups = [("a", ""), ("b", "listen = pool.example:9100")];
    let groups = Groups::spawn(&target, "", &groups)?;
    let first = groups.server.log.mark();
    wait_until("the other group", ms(20_000), || groups.serves("a").is_ok())?;
    ensure!(begun.elapsed() < bar(ms(5_000)), "it serves after {:?}", begun.elapsed());
    hears_for_two_seconds(&groups.server)?;
    let late = "the users, groups or hosts that its group names could not be looked up in 10 seconds";
    groups.server.log.wait_for(first, &["[group b] could not be started: ", late], ms(20_000))?;
    hears_for_two_seconds(&groups.server)?;
    std::thread::spawn(move || answer(&resolver));
    groups.server.log.wait_for(first, &["[group b] generation 1 serves"], ms(60_000))?;
    groups.server.says_hello(&Address::Tcp(([127, 0, 0, 1], PORT).into()))?;
    groups.server.stop()
}

/// A module of the name service switch that knows the user `late` once there is a file `known`, and does not answer while there is
/// a file `hangs`.
const MODULE: &str = r#"
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int is_there(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("LATE_NAMES"), name);
    return access(path, F_OK) == 0;
}
enum nss_status _nss_late_getpwnam_r(const char *name, struct passwd *found, char *room, size_t size, int *error) {
    if (strcmp(name, "late")) return NSS_STATUS_NOTFOUND;
    while (is_there("hangs")) usleep(10000);
    if (!is_there("known")) return NSS_STATUS_NOTFOUND;
    snprintf(room, size, "late");
    *found = (struct passwd){ room, room + 4, 2002, 2002, room + 4, "/", "/bin/sh" };
    return NSS_STATUS_SUCCESS;
}
"#;

/// A user that is looked up again and again, since there is none yet.
#[test]
fn a_user_that_no_name_service_knows() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    if !inside_with_file("/etc/nsswitch.conf", "passwd: files late\ngroup: files\nhosts: files\n")? {
        return Ok(());
    }
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    extension::library(&sandbox, "libnss_late.so.2", MODULE)?;
    let dir = sandbox.path().display().to_string();
    let (libraries, names) = (format!("LD_LIBRARY_PATH={dir}"), format!("LATE_NAMES={dir}"));
    let late = "[b]\nprocess.group = b\nuser = late\npm = static\npm.max_children = 1\n\
                listen = {{DIR}}/b.sock\nlisten.mode = 0666\n";
    let setup = Setup::new(1).whole(&(conf("", &[("a", "")]) + late)).under(&["/usr/bin/env", &libraries, &names]);
    let address = Address::Unix(sandbox.file("a.sock"));
    let server = Server::start_at(address, sandbox, &target, &setup)?;
    let first = server.log.mark();
    let unknown = "[group b] could not be started: [pool b] cannot get uid for user 'late'";
    wait_until("the refusal", bar(ms(5_000)), || server.log.count(unknown) > 0)?;
    fs::write(server.sandbox.file("hangs"), "")?;
    hears_for_two_seconds(&server)?;
    server.log.wait_for(first, &["could not be looked up in 10 seconds"], ms(30_000))?;
    fs::write(server.sandbox.file("known"), "")?;
    fs::remove_file(server.sandbox.file("hangs"))?;
    server.log.wait_for(first, &["[group b] generation 1 serves"], ms(60_000))?;
    server.says_hello(&Address::Unix(server.sandbox.file("b.sock")))?;
    server.stop()
}
