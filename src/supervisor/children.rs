//! Children that have ended: zygotes, workers whose zygote is gone, checks, and strangers.

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::ipc::FORMER_PROTOCOL;
use crate::log::messages::workers;
use crate::log::{Level, Message};
use crate::plan::fleet::{Event, Goal, Worker, WorkerKey, Zygote, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::hear::former;
use crate::supervisor::output::Writer;
use crate::sys::clock;
use crate::sys::process::{self, Exit};

impl Supervisor {
    /// Reaps all children that have ended. As a subreaper the supervisor also inherits processes that scripts have left running: they
    /// are reaped without a line in the log.
    pub(super) fn reap(&mut self) {
        while let Some((pid, exit)) = process::reap() {
            if let Some(key) = self.runtimes.zygote_of(pid) {
                self.zygote_ended(key, pid, exit);
            } else if let Some(key) = self.worker_of(pid) {
                self.worker_exited(key, exit);
            } else if self.reload.is_check(pid) {
                self.check_ended(exit);
            }
        }
    }

    fn worker_of(&self, pid: Pid) -> Option<WorkerKey> {
        let proved = |w: &Worker| w.pid == Some(pid.as_raw()) && w.born.is_some();
        self.fleet.workers().find(|(_, w)| proved(w)).map(|(key, _)| key)
    }

    fn zygote_ended(&mut self, key: ZygoteKey, pid: Pid, exit: Exit) {
        self.hear_rest(key);
        let group = self.runtimes.group_mut(key);
        if let Some(zygote) = group.and_then(|g| g.zygote.take()) {
            self.paused_zygotes.remove(&key);
            self.poller.remove_zygote(&zygote.reports, key);
            let (socket, mut theirs) = zygote.orders.into_fds();
            if zygote.protocol == Some(FORMER_PROTOCOL) {
                theirs.push(socket);
            }
            former::close_aside(theirs);
        }
        self.outputs.drain(&mut self.poller);
        self.close_outputs_of_ended();
        let state = self.fleet.generation(key.generation).and_then(|g| g.groups.get(key.group)).map(|g| g.zygote);
        let expected = self.fleet.goal != Goal::Serve || matches!(state, Some(Zygote::Dismissed(_) | Zygote::Gone));
        let text = format!("[group {}] zygote {pid} {}", self.runtimes.group_name(key), describe(exit));
        self.log_of(key, if expected { Level::Debug } else { Level::Warning }, &text);
        self.feed(Event::ZygoteGone(key));
        self.write_off(key);
    }

    /// Workers of a dead zygote that did not come to us as children have died with it.
    pub(super) fn write_off(&mut self, key: ZygoteKey) {
        let lost =
            self.fleet.workers().filter(|(k, w)| k.zygote() == key && w.orphan && self.proved_orphan(w).is_none());
        let lost: Vec<WorkerKey> = lost.map(|(k, _)| k).collect();
        lost.into_iter().for_each(|worker| self.worker_exited(worker, Exit::Unknown));
    }

    /// Pipes of processes that have ended are closed soon.
    pub(super) fn close_outputs_of_ended(&mut self) {
        let Self { outputs, fleet, runtimes, .. } = self;
        outputs.close_soon_where(|writer| match writer {
            Writer::Worker { key, pid, .. } => {
                !fleet.worker(*key).is_some_and(|w| *pid == 0 || w.pid.is_none_or(|known| known == *pid))
            }
            Writer::Group { pid, .. } => !runtimes.zygotes().any(|zygote| zygote.pid.as_raw() == *pid),
            Writer::Zygote(name) => !runtimes.groups().any(|g| g.zygote.is_some() && g.spec.group == *name),
        });
    }

    /// After a reload: learns what has happened since the former image stopped listening.
    pub(super) fn catch_up(&mut self) {
        self.reap();
        for key in self.runtimes.keys() {
            let state = self.fleet.generation(key.generation).and_then(|g| g.groups.get(key.group)).map(|g| g.zygote);
            let group = self.runtimes.group(key);
            let alive = group.is_some_and(|g| g.zygote.is_some());
            if !alive && matches!(state, Some(Zygote::Up(_) | Zygote::Starting(_) | Zygote::Dismissed(_))) {
                self.feed(Event::ZygoteGone(key));
            }
            self.write_off(key);
        }
    }
}

fn describe(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(number, core) => {
            let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
            format!("exited on signal {number} ({name}{})", if core { " - core dumped" } else { "" })
        }
        Exit::Unknown => "exited, status unknown".to_owned(),
    }
}

/// The same in the original patch's words: `exited on signal 11 SIGSEGV (core dumped)`.
fn originally(exit: Exit) -> String {
    match exit {
        Exit::Signal(number, core) => {
            let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
            format!("exited on signal {number} {name}{}", if core { " (core dumped)" } else { "" })
        }
        Exit::Code(_) | Exit::Unknown => describe(exit),
    }
}

/// The line about a worker that ended.
pub(super) fn exit_line(pool: &str, worker: &Worker, exit: Exit, ordered: bool) -> Message {
    let lived = clock::now().since(worker.since);
    let seconds = format!("{}.{:06}", lived / 1000, (lived % 1000) * 1000);
    let pid = worker.pid.unwrap_or(0);
    let message = match exit {
        Exit::Code(0) if worker.retired.is_some() => workers::child_killed_by_management(pool, pid, seconds),
        _ => workers::child_exited(pool, pid, describe(exit), originally(exit), seconds),
    };
    message.at(match exit {
        _ if ordered => Level::Debug,
        Exit::Code(0) => Level::Notice,
        _ => Level::Warning,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_by_a_signal_has_the_originals_words_as_well() {
        let (today, original) = (describe(Exit::Signal(11, true)), originally(Exit::Signal(11, true)));
        assert_eq!(today, "exited on signal 11 (SIGSEGV - core dumped)");
        assert_eq!(original, "exited on signal 11 SIGSEGV (core dumped)");
        assert_eq!(originally(Exit::Signal(15, false)), "exited on signal 15 SIGTERM");
        assert_eq!(originally(Exit::Code(0)), "exited with code 0");
    }
}
