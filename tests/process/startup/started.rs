//! The ways to start a server.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::{JoinHandle, spawn};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::{Request, ask_once};
use testkit::guard::Guard;
use testkit::log::Log;
use testkit::process::{self, Process};
use testkit::server::{is_pipe_reader, is_worker};
use testkit::setup::Setup;
use testkit::stage::Stage;
use testkit::target::Target;
use testkit::{Outcome, ensure};

/// How it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `php-fpm -D`.
    Daemon,
    /// A script's `php-fpm -F & wait`: it leads no process group.
    Script,
    /// A program that becomes `php-fpm -F`, as in a container or under systemd: it leads a session.
    Leader,
    /// `php-fpm -F` in the foreground of a shell with job control: it leads a process group.
    Job,
}

/// A server that a shell has started.
#[derive(Debug)]
pub(super) struct Started {
    pub stage: Stage,
    pub master: Process,
    pub keyboard: Option<ChildStdin>,
    shell: Child,
    _guard: Guard,
}

impl Started {
    /// Starts it and waits until it is ready. `pool`: further lines of the pool.
    pub(super) fn new(target: &Target, way: Way, terminal: bool, pool: &str) -> Outcome<Self> {
        let stage = Stage::new(target.clone(), 1)?;
        let conf = format!("{}{pool}\n", Setup::new(1).conf(stage.sandbox.path(), &stage.address));
        stage.sandbox.put("fpm.conf", &conf)?;
        stage.sandbox.put("start.sh", &script(&stage, way))?;
        let output = File::create(stage.sandbox.file("stdio"))?;
        // A shell cannot trap a signal that was ignored at its start, as SIGINT is for tests that run in the
        // background of another shell.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP,INT,QUIT,TERM,TSTP");
        if terminal {
            command.args(["script", "-qec", "exec bash start.sh", "/dev/null"]);
        } else {
            command.args(["bash", "start.sh"]);
        }
        command.current_dir(stage.sandbox.path()).envs(stage.target.environment()).env("SHELL", "/bin/sh");
        command.env("CGI_FPM_SECRET", "not for everybody");
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let mut shell = command.spawn()?;
        let (keyboard, guard) = (shell.stdin.take(), Guard::over(shell.id())?);
        let log = Log::new(&stage.sandbox.file("fpm.log"));
        // On a terminal the log is stderr.
        let stdio = Log::new(&stage.sandbox.file("stdio"));
        let ready = || log.count(READY) + stdio.count(READY) > 0 && stage.daemon().is_some();
        let came = wait_until("the server is ready", bar(ms(10_000)), ready);
        let master = stage.daemon();
        let (Ok(_), Some(master)) = (came, master) else {
            let _ = shell.kill();
            stage.sweep()?;
            return Err(format!("{way:?} didn't start: {}{}", log.tail(5), stdio.tail(5)).into());
        };
        Ok(Self { stage, master, keyboard, shell, _guard: guard })
    }

    /// A page's answer.
    pub(super) fn ask(&self, page: &str) -> Outcome<String> {
        ask_once(&self.stage.address, &Request::get(&self.stage.sandbox.page(page)), ms(5000))
    }

    /// Sends a request and returns when its script has started; the script runs for a while.
    pub(super) fn begin(&self) -> Outcome<JoinHandle<Outcome<String>>> {
        let sandbox = &self.stage.sandbox;
        sandbox.put("www/begun.php", BEGUN)?;
        let (address, request) = (self.stage.address.clone(), Request::get(&sandbox.page("begun.php")));
        let asked = spawn(move || ask_once(&address, &request, ms(5000)));
        wait_until("the request has begun", bar(ms(3000)), || sandbox.file("out/begun").exists())?;
        Ok(asked)
    }

    /// All its processes but those that read pipes for the supervisor, which php-fpm does not have.
    pub(super) fn tree(&self) -> Vec<Process> {
        let others = self.master.descendants().into_iter().filter(|one| !is_pipe_reader(*one));
        [self.master].into_iter().chain(others).collect()
    }

    pub(super) fn worker(&self) -> Outcome<Process> {
        Ok(self.master.descendants().into_iter().find(|one| is_worker(*one)).ok_or("no worker")?)
    }

    /// Sends a signal to the process group of the shell that started the server.
    pub(super) fn signal_callers_group(&self, signal: Signal) -> Outcome {
        Ok(killpg(Pid::from_raw(i32::try_from(self.shell.id())?), signal)?)
    }

    /// Whether the shell has ended.
    pub(super) fn shell_has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }

    /// Presses a key on the terminal.
    pub(super) fn press(&mut self, key: &[u8]) -> Outcome {
        let keyboard = self.keyboard.as_mut().ok_or("no keyboard")?;
        keyboard.write_all(key)?;
        Ok(keyboard.flush()?)
    }

    /// The text on the terminal, or the output on the shell's streams.
    pub(super) fn shown(&self) -> String {
        Log::new(&self.stage.sandbox.file("stdio")).text()
    }

    /// Ends it by SIGTERM.
    pub(super) fn stop(mut self) -> Outcome {
        let tree = self.tree();
        self.master.signal(Signal::SIGTERM);
        wait_until("its end", bar(ms(5000)), || tree.iter().all(|one| !one.lives()))?;
        drop(self.keyboard.take());
        wait_until("the shell's end", bar(ms(5000)), || self.shell_has_ended())?;
        Ok(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let tree = self.tree();
        let _ = process::end_all(|| tree.clone());
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Prints that it has started, runs for a while, and prints whether anything interrupted it.
const BEGUN: &str = "<?php touch(ini_get('upload_tmp_dir') . '/begun'); $end = hrtime(true) + 700e6; usleep(700000);
    echo hrtime(true) < $end ? 'cut short' : 'done';";

const READY: &str = "ready to handle connections";

/// Limits, priority and mask that differ from the system's and a shell's defaults; a descriptor that is left open.
const AROUND: &str = "umask 027\nulimit -S -n 300\nulimit -H -n 700\nulimit -c 0\nrenice -n 3 -p $$ >/dev/null\nexec 7</dev/zero\nexport LC_ALL=C.UTF-8\n";

fn script(stage: &Stage, way: Way) -> String {
    let command = stage.command(&[if way == Way::Daemon { "-D" } else { "-F" }]);
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let line = words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let last = match way {
        Way::Daemon => line,
        Way::Script => format!("{line} & wait"),
        Way::Leader => format!("exec {line}"),
        Way::Job => format!("set -m\n{line}\necho has stopped $?\nread -r _\nfg"),
    };
    format!("{AROUND}{last}\n")
}

/// Address and page exist before the server is started.
pub(super) fn have_tools() -> Outcome {
    for tool in ["/usr/bin/script", "/bin/bash"] {
        ensure!(fs::exists(tool)?, "{tool} is missing");
    }
    Ok(())
}
