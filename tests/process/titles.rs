//! Titles and names as `ps`, `pgrep` and monit find them, equal to php-fpm's.
#![forbid(unsafe_code)]

use std::fs;
use std::process::Command;

use testkit::process::Process;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

fn name(process: Process) -> String {
    fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default().trim_end().to_owned()
}

#[test]
fn titles_and_names() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(2))?;
    for _ in 0..2 {
        let conf = server.sandbox.file("fpm.conf");
        let titles: Vec<String> = server.workers().into_iter().map(Process::title).collect();
        ensure!(titles == ["php-fpm: pool www"; 2], "{titles:?}");
        let title = server.supervisor.title();
        ensure!(title == format!("php-fpm: master process ({})", conf.display()), "{title}");
        let all: Vec<Process> = server.supervisor.tree();
        let names: Vec<String> = all.iter().copied().map(name).collect();
        // The supervisor has one that reads pipes and one that closes them, as soon as it has a pipe to read or to close.
        let readers = server.pipe_readers().len();
        ensure!(readers <= 2, "{readers} processes read or close pipes");
        let expected = 4 + readers;
        ensure!(names.len() == expected && names.iter().all(|name| name == "php-fpm"), "{names:?}");
        let group = server.supervisor.pid.to_string();
        let found = Command::new("pgrep").args(["-x", "-g", &group, "php-fpm"]).output()?.stdout;
        ensure!(String::from_utf8(found)?.lines().count() == expected, "pgrep");
        let found = Command::new("pgrep").args(["-f", "-g", &group, "^php-fpm: pool www"]).output()?.stdout;
        ensure!(String::from_utf8(found)?.lines().count() == 2, "pgrep -f");
        server.reload()?;
        server.await_workers(2, testkit::clock::ms(5000))?;
        testkit::clock::wait_until("one zygote", testkit::clock::ms(5000), || server.zygotes().len() == 1)?;
    }
    let pid = fs::read_to_string(server.sandbox.file("fpm.pid"))?;
    ensure!(pid.trim_end() == server.supervisor.pid.to_string(), "{pid:?}");
    server.stop()
}
