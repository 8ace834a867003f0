//! A base zygote names a process that is not the zygote that it was asked for. It is killed, and that process gets no signal.

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{ask, base, start};
use crate::hostile;

/// Starts a process of the pool's user that outlives its parent, and so becomes the supervisor's child.
const ORPHAN: &str = "<?php exec('sleep 600 > /dev/null 2>&1 & echo $!', $pid); echo $pid[0];";

/// Whom the base zygote names. The process is started after the base zygote was asked, where that is possible.
#[derive(Debug, Clone, Copy)]
enum Named {
    Init,
    Supervisor,
    Nobody,
    PipeReader,
    OtherZygote,
    OthersWorker,
    OthersOrphan,
    OwnBase,
}

const ALL: [Named; 8] = [
    Named::Init,
    Named::Supervisor,
    Named::Nobody,
    Named::PipeReader,
    Named::OtherZygote,
    Named::OthersWorker,
    Named::OthersOrphan,
    Named::OwnBase,
];

fn find(server: &Server, named: Named) -> Outcome<Option<Process>> {
    Ok(Some(match named {
        Named::Nobody => return Ok(None),
        Named::Init => Process::find(1).ok_or("no init")?,
        Named::Supervisor => server.supervisor,
        Named::PipeReader => {
            let former = server.pipe_readers();
            former.iter().for_each(|reader| reader.signal(Signal::SIGKILL));
            let mut next = None;
            // What it says about that is read.
            server.zygote_of("p2")?.signal(Signal::SIGTERM);
            wait_until("a new pipe reader", bar(ms(5000)), || {
                next = server.pipe_readers().into_iter().find(|reader| !former.contains(reader));
                next.is_some()
            })?;
            next.ok_or("no reader")?
        }
        Named::OtherZygote => server.zygote_of("p1")?,
        Named::OthersWorker => server.zygote_of("p1")?.children().into_iter().next().ok_or("no worker")?,
        Named::OthersOrphan => {
            let pid = ask(server, 1, "orphan_of_script.php")?.parse()?;
            let orphan = Process::find(pid).ok_or("no orphan")?;
            wait_until("the supervisor's child", bar(ms(5000)), || orphan.parent() == server.supervisor.pid)?;
            orphan
        }
        Named::OwnBase => base(server)?,
    }))
}

fn names(target: &Target, named: Named) -> Outcome {
    let sandbox = Sandbox::new()?;
    let library = hostile::build(target, &sandbox)?;
    sandbox.put("www/orphan_of_script.php", ORPHAN)?;
    let server = start(target, sandbox, 3, "process.base = yes", &[&format!("extension = {}", library.display())])?;
    let (liar, former) = (base(&server)?, server.zygote_of("p0")?);
    hostile::act(&server.sandbox, liar, "lie")?;
    former.signal(Signal::SIGKILL);
    wait_until("its end is known", bar(ms(5000)), || server.log.count(&format!("zygote {} exited", former.pid)) > 0)?;
    std::thread::sleep(ms(100));
    let mark = server.log.mark();
    let process = find(&server, named)?;
    // Without a process: a number that the kernel has given to none.
    let pid = process.map_or(i32::MAX - 1, |process| process.pid);
    server.sandbox.put("lie", &format!("{pid}\n"))?;
    if process.is_some() {
        let refused = format!("base zygote {} names process {pid} as a new zygote, which is no new child", liar.pid);
        server.log.wait_for(mark, &[&refused], bar(ms(5000)))?;
    }
    wait_until("the next zygote", bar(ms(12_000)), || !server.zygotes_of("p0").is_empty())?;
    wait_until("it serves", bar(ms(5000)), || ask(&server, 0, "hello.php").is_ok_and(|body| body == "hello"))?;
    let spared = !matches!(named, Named::OwnBase);
    ensure!(process.is_none_or(|process| process.lives() == spared), "{named:?} lives no longer");
    if matches!(named, Named::OthersOrphan) {
        process.into_iter().for_each(|orphan| orphan.signal(Signal::SIGKILL));
    }
    ensure!(ask(&server, 1, "hello.php")? == "hello", "another group");
    server.stop()
}

#[test]
fn a_process_that_is_no_new_zygote_is_named() -> Outcome {
    let Some(target) = Target::find_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    ALL.into_iter().try_for_each(|named| names(&target, named).map_err(|e| format!("{named:?}: {e}").into()))
}
