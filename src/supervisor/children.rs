//! Children that have ended: zygotes, workers whose zygote is gone, checks, and strangers.

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::ipc::FORMER_PROTOCOL;
use crate::log::messages::workers;
use crate::log::{Level, Message};
use crate::plan::fleet::{Event, Goal, Worker, WorkerKey, Zygote, ZygoteKey};
use crate::supervisor::Supervisor;
use crate::supervisor::generation::runtime;
use crate::supervisor::hear::former;
use crate::sys::clock;
use crate::sys::process::{self, Exit};

impl Supervisor {
    /// Everyone who ended. As subreaper the supervisor also inherits what scripts left behind: buried in silence.
    pub(super) fn reap(&mut self) {
        while let Some((pid, exit)) = process::reap() {
            if let Some(key) = self.zygote_of(pid) {
                self.zygote_ended(key, pid, exit);
            } else if let Some(key) = self.worker_of(pid) {
                self.worker_exited(key, exit);
            } else if self.reload.is_check(pid) {
                self.check_ended(exit);
            }
        }
    }

    pub(super) fn zygote_of(&self, pid: Pid) -> Option<ZygoteKey> {
        self.runtimes.iter().find_map(|(&generation, r)| {
            let group = r.groups.iter().position(|g| g.zygote.as_ref().is_some_and(|z| z.pid == pid))?;
            Some(ZygoteKey { generation, group })
        })
    }

    fn worker_of(&self, pid: Pid) -> Option<WorkerKey> {
        let proved = |w: &Worker| w.pid == Some(pid.as_raw()) && w.born.is_some();
        self.fleet.workers().find(|(_, w)| proved(w)).map(|(key, _)| key)
    }

    fn zygote_ended(&mut self, key: ZygoteKey, pid: Pid, exit: Exit) {
        self.hear_last_words(key);
        let group = runtime::group_mut(&mut self.runtimes, key);
        if let Some(zygote) = group.and_then(|g| g.zygote.take()) {
            self.resting.remove(&key);
            self.poller.remove_zygote(&zygote.reports, key);
            let (socket, mut theirs) = zygote.orders.into_fds();
            if zygote.protocol == Some(FORMER_PROTOCOL) {
                theirs.push(socket);
            }
            former::close_aside(theirs);
        }
        self.drain_outputs();
        self.expect_last_words_of_the_dead();
        let state = self.fleet.generation(key.generation).and_then(|g| g.groups.get(key.group)).map(|g| g.zygote);
        let expected = self.fleet.goal != Goal::Serve || matches!(state, Some(Zygote::Dismissed(_) | Zygote::Gone));
        let text = format!("[group {}] zygote {pid} {}", self.group_name(key), describe(exit));
        self.say_of(key, if expected { Level::Debug } else { Level::Warning }, &text);
        self.feed(Event::ZygoteGone(key));
        self.write_off(key);
    }

    /// Workers of a dead zygote that did not come to us as children have died with it.
    pub(super) fn write_off(&mut self, key: ZygoteKey) {
        let lost = self.fleet.workers().filter(|(k, w)| k.zygote() == key && w.orphan && self.orphan(w).is_none());
        let lost: Vec<WorkerKey> = lost.map(|(k, _)| k).collect();
        lost.into_iter().for_each(|worker| self.worker_exited(worker, Exit::Unknown));
    }

    /// After a reload: everything that the former image would have been told meanwhile.
    pub(super) fn catch_up(&mut self) {
        self.reap();
        for key in self.zygote_keys() {
            let state = self.fleet.generation(key.generation).and_then(|g| g.groups.get(key.group)).map(|g| g.zygote);
            let group = runtime::group(&self.runtimes, key);
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
