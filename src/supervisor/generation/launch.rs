//! Starting our own program again as the check of a reload, or that of a group as its zygote: fork, descriptors, exec.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Pid, pipe2};

use crate::engine::Program;
use crate::exit::ExitCode;
use crate::host::preload_list;
use crate::sys::fd::{self, Stream};
use crate::sys::limits::FileLimits;
use crate::sys::process::{self, Forked};
use crate::sys::{shared, signal, single_threaded};

/// Room for the title of a process that has no arguments of its own to overwrite.
const TITLE_ROOM: usize = 96;

/// Variables that systemd sets for the supervisor alone. Those of passed sockets are removed at the start (`activation.rs`).
const SYSTEMD: [&str; 4] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE"];

/// A child that was started.
#[derive(Debug)]
pub(crate) struct Launched {
    /// Its pid.
    pub pid: Pid,
    /// The reading end of its stdout and stderr.
    pub output: OwnedFd,
}

/// The process to start, and its descriptors.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The program.
    pub program: &'a Program,
    /// `zygote` or `check`.
    pub role: &'static str,
    /// Options of the command line that the role needs.
    pub options: &'a [OsString],
    /// Content of the memfd that its `--fpm-fd` names.
    pub content: &'a [u8],
    /// Descriptors that stay open in it under their numbers.
    pub inherit: &'a [RawFd],
    /// RLIMIT_NOFILE for it.
    pub nofile: FileLimits,
}

impl Launch<'_> {
    /// Forks and executes.
    ///
    /// # Errors
    /// Those of the calls, in this process; a failed exec shows as output and exit status.
    pub(crate) fn start(&self) -> io::Result<Launched> {
        let content = shared::file_of("cgi-fpm-start", self.content)?;
        let (output, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        fd::set_nonblocking(&output, true)?;
        match single_threaded::fork()? {
            Forked::Parent(pid) => Ok(Launched { pid, output }),
            Forked::Child => self.exec(content.as_fd(), theirs.as_fd()),
        }
    }

    fn exec(&self, content: BorrowedFd<'_>, output: BorrowedFd<'_>) -> ! {
        let error = self.try_exec(content, output);
        let text = format!("can't execute {}: {error}\n", self.program.path.display());
        let _ = nix::unistd::write(output, text.as_bytes());
        process::exit_now(ExitCode::Software.status())
    }

    fn try_exec(&self, content: BorrowedFd<'_>, output: BorrowedFd<'_>) -> io::Error {
        let prepared = self.prepare(content, output);
        if let Err(e) = prepared {
            return e;
        }
        process::exec(&self.program.path, &self.arguments(content.as_raw_fd()))
    }

    fn prepare(&self, content: BorrowedFd<'_>, output: BorrowedFd<'_>) -> io::Result<()> {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        // The numbers to be kept may be 0-2 only if the supervisor was started without them; it never is (see `boot`).
        fd::redirect(Stream::Stdin, &null)?;
        fd::redirect(Stream::Stdout, output)?;
        fd::redirect(Stream::Stderr, output)?;
        fd::survive_exec(content.as_raw_fd())?;
        self.inherit.iter().try_for_each(|&raw| fd::survive_exec(raw))?;
        setrlimit(Resource::RLIMIT_NOFILE, self.nofile.soft, self.nofile.hard)?;
        if let Some(library) = &self.program.preload {
            single_threaded::set_variable("LD_PRELOAD", &preload_list(library));
        }
        SYSTEMD.into_iter().for_each(single_threaded::remove_variable);
        // Signals stay blocked: until it has set up what they mean to it, one that is for the supervisor would end it.
        signal::reset_actions();
        Ok(())
    }

    fn arguments(&self, content: RawFd) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![format!("php-fpm: {:TITLE_ROOM$}", self.role).into(), "--fpm".into()];
        args.push(format!("--fpm-role={}", self.role).into());
        args.push(format!("--fpm-fd={content}").into());
        args.extend(self.options.iter().cloned());
        args
    }
}
