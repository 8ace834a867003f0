//! `php-fpm cache` and `php-fpm opcache`: asks the supervisor over its control socket, and prints what became of it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt};

use super::error::Failure;
use super::found::{self, Found};
use super::say::{complain, say};
use super::status::Status;
use crate::cli::{CacheCommand, CacheVerb, Options, WrongOption};
use crate::config;
use crate::configured;
use crate::exit::ExitCode;
use crate::host::Host;
use crate::ipc::{CONTROL_LONGEST, ControlAnswer, ControlRequest, GroupAnswer, GroupResult};
use crate::log::messages::terminal as texts;
use crate::sys::failure::reason;
use crate::sys::pidfd::Process;
use crate::sys::{message, socket as waiting};

/// The socket of a supervisor that has just started is there after a moment.
const OPENS: Duration = Duration::from_secs(3);
/// So long an answer may take: new processes have a minute to start, and may have to wait for former ones.
const ANSWERS: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(50);
/// So often a request is sent. Before each attempt the command waits twice as long as before the former one.
const ATTEMPTS: u32 = 7;

/// Carries it out; returns the exit status.
pub(crate) fn run(command: Result<CacheCommand, WrongOption>, host: &Host, options: &Options) -> i32 {
    let command = match command {
        Ok(command) => command,
        Err(wrong) => {
            complain(&texts::cache_option_wrong(wrong));
            return ExitCode::Usage.status();
        }
    };
    match carry_out(&command, host, options) {
        Ok(status) => status as i32,
        Err(failure) => {
            failure.messages().into_iter().for_each(configured::say);
            failure.text().lines().for_each(complain);
            failure.exit_status()
        }
    }
}

fn carry_out(command: &CacheCommand, host: &Host, options: &Options) -> Result<Status, Failure> {
    let load = configured::load_options(host, options);
    let file = options.config_path(&host.config_file());
    let Found::Running(process) = found::find(&file, &load)? else { return Err(Failure::NotRunning) };
    let path = config::control_socket(&file, &load).map_err(Failure::Configuration)?;
    let path = path.ok_or(Failure::NoControlSocket)?;
    let pools = command.pools.clone();
    let request = match command.verb {
        CacheVerb::ClearFileCaches => ControlRequest::ClearFileCaches { pools },
        CacheVerb::ResetOpcache => ControlRequest::Renew { pools },
    };
    let answer = Supervisor { process, path }.ask(&request)?;
    if command.json {
        say(&serde_json::to_string(&answer).unwrap_or_default());
    }
    if let Some(error) = answer.error {
        return Err(Failure::Refused(error));
    }
    if !command.json {
        answer.groups.iter().filter_map(|group| line(command.verb, group)).for_each(|line| say(&line));
    }
    let failed = |group: &GroupAnswer| match &group.result {
        GroupResult::Failed(reason) => Some(texts::group_failed(&group.group, reason)),
        GroupResult::Done | GroupResult::Asleep => None,
    };
    let failures: Vec<String> = answer.groups.iter().filter_map(failed).collect();
    if failures.is_empty() { Ok(Status::Done) } else { Err(Failure::Refused(failures.join("\n"))) }
}

fn line(verb: CacheVerb, answer: &GroupAnswer) -> Option<String> {
    let (group, pools) = (&answer.group, answer.pools.join(", "));
    match (&answer.result, verb) {
        (GroupResult::Failed(_), _) => None,
        (GroupResult::Asleep, _) => Some(texts::group_asleep(group)),
        (GroupResult::Done, CacheVerb::ClearFileCaches) => Some(texts::file_caches_cleared(pools)),
        (GroupResult::Done, CacheVerb::ResetOpcache) => Some(texts::opcache_is_new(group)),
    }
}

/// The running supervisor and its control socket.
struct Supervisor {
    process: Process,
    path: PathBuf,
}

impl Supervisor {
    /// Asks, and waits for the answer. A supervisor that executes itself closes the connection; it is then asked again.
    fn ask(&self, request: &ControlRequest) -> Result<ControlAnswer, Failure> {
        let message = serde_json::to_vec(request).unwrap_or_default();
        if message.len() > CONTROL_LONGEST {
            return Err(Failure::Refused(texts::control_request_too_long()));
        }
        let until = Instant::now() + ANSWERS;
        for attempt in 0..ATTEMPTS {
            let connection = self.connect()?;
            // If the supervisor has closed it already, the answer is still to be read.
            let _ = message::send(&connection, &message, &[]);
            if let Some(answer) = self.receive(&connection, until)? {
                return Ok(answer);
            }
            if self.process.ends_within(LOOK * 2_u32.pow(attempt)) {
                return Err(Failure::Ended(self.process.pid));
            }
        }
        Err(self.unreachable(&io::Error::other("it closes each connection without an answer")))
    }

    fn connect(&self) -> Result<OwnedFd, Failure> {
        let until = Instant::now() + OPENS;
        loop {
            match connected(&self.path) {
                Ok(connection) => {
                    // Another process may have put its socket there, if a user can write to the directory.
                    let peer = getsockopt(&connection, sockopt::PeerCredentials).map(|peer| peer.pid());
                    if peer == Ok(self.process.pid.as_raw()) {
                        return Ok(connection);
                    }
                    return Err(self.unreachable(&io::Error::other("another process listens there")));
                }
                Err(Errno::ENOENT | Errno::ECONNREFUSED | Errno::EAGAIN) if Instant::now() < until => {
                    if self.process.ends_within(LOOK) {
                        return Err(Failure::Ended(self.process.pid));
                    }
                }
                Err(errno) => return Err(self.unreachable(&errno.into())),
            }
        }
    }

    fn unreachable(&self, e: &io::Error) -> Failure {
        let text = texts::control_socket_not_reached(self.path.display(), reason(e));
        if e.kind() == io::ErrorKind::PermissionDenied { Failure::Forbidden(text) } else { Failure::Refused(text) }
    }

    /// The answer; `None`: the supervisor has closed the connection.
    fn receive(&self, connection: &OwnedFd, until: Instant) -> Result<Option<ControlAnswer>, Failure> {
        let mut buffer = vec![0; CONTROL_LONGEST];
        loop {
            match waiting::await_input(connection, until.min(Instant::now() + Duration::from_secs(1))) {
                Ok(true) => break,
                Ok(false) if Instant::now() >= until => return Err(Failure::TimedOut),
                Ok(false) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(self.unreachable(&errno.into())),
            }
        }
        match message::receive_one(connection, &mut buffer) {
            Ok(Some((length, memory))) => {
                let message = buffer.get(..length).unwrap_or_default();
                ControlAnswer::read(message, memory).map(Some).map_err(|e| self.unreachable(&e))
            }
            Ok(None) => Ok(None),
            Err(e) => Err(self.unreachable(&e)),
        }
    }
}

/// Connects without waiting for a place in the queue.
fn connected(path: &Path) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}
