//! `php-fpm start`: the same program without the verb, in the background. It ends when all pools accept.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::say::Progress;
use super::status::Status;
use crate::host::Host;

const LOOK: Duration = Duration::from_millis(20);

/// Returns the exit status: the program's own where it fails.
pub(super) fn start(host: &Host, arguments: &[OsString]) -> i32 {
    let progress = Progress::begin("Starting php-fpm");
    match run(host, arguments, progress) {
        Ok((progress, Some(0))) => progress.done() as i32,
        Ok((progress, status)) => {
            progress.fail("it did not start; its log has more", Status::Failed);
            status.unwrap_or(Status::Failed as i32)
        }
        Err(e) => {
            super::say::complain(&format!("unable to run {}: {e}", host.program.display()));
            Status::Failed as i32
        }
    }
}

fn run(host: &Host, arguments: &[OsString], mut progress: Progress) -> io::Result<(Progress, Option<i32>)> {
    let mut command = Command::new(&host.program);
    if let Some(name) = host.args.first() {
        command.arg0(name);
    }
    if let Some(list) = host.preload() {
        command.env("LD_PRELOAD", list);
    }
    // The last one counts: whatever the configuration says, a start comes back.
    let mut child = command.args(arguments).arg("-D").stdin(Stdio::null()).spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((progress, status.code()));
        }
        std::thread::sleep(LOOK);
        progress.go_on();
    }
}
