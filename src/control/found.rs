//! The running supervisor, by the pid file that the configuration names.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Pid;

use super::error::Failure;
use crate::config::{self, LoadOptions};
use crate::sys::pidfd::Process;
use crate::sys::{pid_file, proc_stat};

/// The result of the search for the running server.
#[derive(Debug)]
pub(super) enum Found {
    /// A supervisor.
    Running(Process),
    /// There is no pid file.
    Stopped,
    /// There is a pid file, but its process has ended or is another program.
    Dead(PathBuf),
}

/// Finds the supervisor. The configuration is read only as far as the pid file, so that a mistake in a pool does not keep
/// php-fpm from being stopped.
pub(super) fn find(config: &Path, load: &LoadOptions) -> Result<Found, Failure> {
    let file = config::pid_file(config, load).map_err(Failure::Configuration)?.ok_or(Failure::NoPidFile)?;
    let contents = match pid_file::read(&file) {
        Ok(contents) => contents,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Stopped),
        Err(source) => return Err(Failure::PidFile { path: file, source }),
    };
    // A user whose directory has the pid file can put another one there. It leads to processes of that user only.
    let owner = contents.map(|contents| contents.owner);
    let process = contents.and_then(|contents| Process::open(process_id(contents.pid)?).ok());
    // Examined after it is opened: from then on the number cannot become another process's.
    match process.filter(|process| proc_stat::user_of(process.pid) == owner && is_known(process.pid)) {
        Some(process) => Ok(Found::Running(process)),
        None => Ok(Found::Dead(file)),
    }
}

/// Whether that process is a supervisor. During the exec of a reload, and while it writes its title, it does not look like
/// one for a moment, so it is examined several times.
fn is_known(pid: Pid) -> bool {
    const LOOKS: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(10);
    (0..LOOKS).any(|look| {
        if look > 0 {
            std::thread::sleep(PAUSE);
        }
        is_supervisor(&fs::read(format!("/proc/{pid}/cmdline")).ok())
    })
}

fn process_id(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().map(Pid::from_raw)
}

/// Whether a command line is a supervisor's: it has a title, except for a moment during a reload. If the command line cannot
/// be read, the process may be one.
fn is_supervisor(command_line: &Option<Vec<u8>>) -> bool {
    const TITLE: &[u8] = b"php-fpm: master process";
    let Some(line) = command_line else { return true };
    let mut arguments = line.split(|byte| *byte == 0);
    line.starts_with(TITLE) || (!line.starts_with(b"php-fpm: ") && arguments.any(|argument| argument == b"--fpm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_is_known_by_its_title() {
        let is = |line: &[u8]| is_supervisor(&Some(line.to_vec()));
        assert!(is(b"php-fpm: master process (/etc/php-fpm.conf)\0\0"));
        assert!(is(b"/usr/bin/php-cgi\0--fpm\0-y\0x\0--fpm-role=resume\0"));
        assert!(!is(b"php-fpm: pool www\0\0--fpm\0"));
        assert!(!is(b"php-fpm: zygote www (generation 1)\0--fpm\0"));
        assert!(!is(b"vi\0--fpm-config\0") && !is(b""));
        assert!(is_supervisor(&None));
    }
}
