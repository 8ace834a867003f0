//! `php-fpm start`: executes the same program without the command, in the background. It ends when all groups
//! that can start accept connections.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::Failure;
use super::say::Progress;
use super::status::Status;
use crate::host::Host;
use crate::log::messages::terminal as texts;

const LOOK: Duration = Duration::from_millis(20);

/// Starts the program and waits until it serves.
pub(super) fn start(host: &Host, arguments: &[OsString]) -> Result<Status, Failure> {
    let mut progress = Progress::begin(&texts::starting());
    match run(host, arguments, &mut progress) {
        Ok(Some(0)) => progress.done(),
        Ok(status) => progress.fail(Failure::Start(status)),
        Err(source) => progress.fail(Failure::Program { path: host.program.clone(), source }),
    }
}

fn run(host: &Host, arguments: &[OsString], progress: &mut Progress) -> io::Result<Option<i32>> {
    let mut command = Command::new(&host.program);
    if let Some(name) = host.args.first() {
        command.arg0(name);
    }
    if let Some(list) = host.preload() {
        command.env("LD_PRELOAD", list);
    }
    // The last option counts: a start returns, whatever the configuration says about `daemonize`.
    let mut child = command.args(arguments).arg("-D").stdin(Stdio::null()).spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        std::thread::sleep(LOOK);
        progress.go_on();
    }
}
