//! Without privileges, and under the filters of containers: everything that needs no privilege works.

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::sandbox::Sandbox;
use testkit::seccomp::{Refused, of_old_containers};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::same::as_nobody;

/// A file that the supervisor inherits and that no other process may see.
const INHERITED: &str = "/etc/passwd";

/// Start, requests on kept and other connections, status, log re-opening, reload, ondemand, replacement, stop.
fn whole_life(target: &Target, setup: impl FnOnce(&Sandbox) -> Setup) -> Outcome {
    let sandbox = Sandbox::new()?;
    let lines = "pm.status_path = /status\nping.path = /ping\naccess.log = $DIR/access.log\nprocess.dumpable = yes\n\
                 catch_workers_output = yes\nrlimit_files = 500\nslowlog = $DIR/slow.log\nrequest_slowlog_timeout = 1s";
    let demand = "[demand]\nlisten = $DIR/demand.sock\nlisten.mode = 0666\npm = ondemand\npm.max_children = 3\n\
                  pm.process_idle_timeout = 1s\nchdir = $DIR";
    let dir = sandbox.path().display().to_string();
    let user = if nix::unistd::geteuid().is_root() { "\nuser = www-data" } else { "" };
    let setup = setup(&sandbox).pool(&lines.replace("$DIR", &dir)).pool(&(demand.replace("$DIR", &dir) + user));
    let server = Server::start_in(sandbox, target, &setup)?;
    let result = live(&server);
    result.map_err(|e| format!("{e}; the log: {}", server.log.text()))?;
    server.stop()
}

fn live(server: &Server) -> Outcome {
    let demand = testkit::stream::Address::Unix(server.sandbox.file("demand.sock"));
    let mut kept = Client::connect(&server.address, ms(5000))?;
    kept.ask(&Request::get(&server.sandbox.page("hello.php")).keep())?;
    server.says_hello(&server.address)?;
    server.says_hello(&demand)?;
    let status = Request::of_pool("/status", "");
    let status = ask_once(&server.address, &status, ms(5000))?;
    ensure!(status.contains("total processes:      2"), "{status}");

    let slow = Request::get(&server.sandbox.page("work.php")).param("QUERY_STRING", "ms=1600");
    ask_once(&server.address, &slow, ms(5000))?;
    let traced = std::fs::read_to_string(server.sandbox.file("slow.log"))?;
    ensure!(traced.contains("work.php"), "the slow log: {traced:?}");

    let mark = server.log.mark();
    std::fs::rename(server.sandbox.file("access.log"), server.sandbox.file("access.log.1"))?;
    server.supervisor.signal(Signal::SIGUSR1);
    server.log.wait_for(mark, &["access log file re-opened"], ms(5000))?;
    server.says_hello(&server.address)?;
    let lines = std::fs::read_to_string(server.sandbox.file("access.log"))?;
    ensure!(lines.contains("hello.php"), "the new access log: {lines:?}");

    let former = server.zygotes();
    server.reload()?;
    wait_until("the former generation's end", ms(5000), || !former.iter().any(|zygote| zygote.lives()))?;
    kept.ask(&Request::get(&server.sandbox.page("hello.php")).keep())?;
    server.says_hello(&server.address)?;
    server.says_hello(&demand)?;
    let victim = server.workers().into_iter().find(|one| one.title().ends_with("pool www")).ok_or("no worker")?;
    let mark = server.log.mark();
    victim.signal(Signal::SIGKILL);
    server.log.wait_for(mark, &["exited on signal 9", "started"], ms(5000))?;
    server.says_hello(&server.address)?;
    for process in [server.zygotes(), server.workers()].concat() {
        let inherited = process.fds().into_values().any(|to| to == INHERITED);
        ensure!(!inherited, "{} has what the supervisor was started with", process.title());
    }
    // The worker of the ondemand pool has exceeded its idle timeout of a second.
    server.await_workers(2, ms(8000))?;
    let log = server.log.text();
    ensure!(!log.contains("ERROR"), "an error in the log: {log}");
    Ok(())
}

#[test]
fn without_privileges() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    whole_life(&target, |sandbox| as_nobody(sandbox, Setup::new(2)))
}

#[test]
fn under_an_old_containers_filter() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let words = ["sh", "-c", "exec 9</etc/passwd; exec \"$@\"", "sh"];
    whole_life(&target, |_| Setup::new(2).refused(&of_old_containers()).under(&words))?;
    whole_life(&target, |sandbox| as_nobody(sandbox, Setup::new(2).refused(&of_old_containers())))
}

/// An error names each call that has no substitute.
#[test]
fn no_memory_files() -> Outcome {
    let Some(stage) = Stage::find_ours(1)? else { return Ok(()) };
    let _turn = turn::shared()?;
    let mut command = stage.command(&["-F", "-O"]);
    testkit::seccomp::refuse(&mut command, &[Refused::call(libc::SYS_memfd_create)])?;
    let ran = testkit::stage::run_to_end(&mut command)?;
    ran.expect(78, &["memfd_create: Operation not permitted (1); the kernel or a seccomp filter"])?;
    Ok(())
}
