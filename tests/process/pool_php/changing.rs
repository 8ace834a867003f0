//! A program whose file changes while it is asked which protocol it speaks.
#![forbid(unsafe_code)]

use std::fs::{File, FileTimes};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms};
use testkit::sandbox::Sandbox;
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

use super::{configure, fake, section, start};

/// Two groups have the program. The answer to the first one does not count for the second one, since the file has changed, so the
/// program is asked again. The supervisor does not wait for that.
#[test]
fn a_program_that_changes_delays_no_signal() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fake(&sandbox, "sleep 0.6; exit 1")?;
    let pool = |name: &str, user: &str, php: &str| section(name, user, php);
    let plain = pool("plain", web_user().unwrap_or_default(), "");
    let server = start(&target, sandbox, "plain", std::slice::from_ref(&plain))?;
    let php = "process.php = {{DIR}}/fake";
    configure(&server, &[plain, pool("one", "2001", php), pool("two", "2002", php)])?;
    let file = File::open(server.sandbox.file("fake"))?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Outcome {
        scope.spawn(|| {
            let mut at = SystemTime::now();
            while !stop.load(Ordering::Relaxed) {
                at += Duration::from_micros(1);
                let _ = file.set_times(FileTimes::new().set_modified(at));
            }
        });
        let mark = server.log.mark();
        server.supervisor.signal(Signal::SIGUSR2);
        let heard = server.log.wait_for(mark, &["fpm is running"], ms(20_000)).and_then(|()| {
            let (begun, mut longest) = (Instant::now(), Duration::ZERO);
            while begun.elapsed() < ms(2500) {
                longest = longest.max(server.hears(ms(20_000))?);
                thread::sleep(ms(20));
            }
            Ok(longest)
        });
        stop.store(true, Ordering::Relaxed);
        let longest = heard?;
        ensure!(longest < bar(ms(100)), "SIGUSR1 was heard after {longest:?}: {}", server.log.tail(8));
        server.log.wait_for(mark, &["[group one]", "[group two]", "it exits without an answer"], ms(20_000))
    })?;
    server.stop()
}
