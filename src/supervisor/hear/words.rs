//! Lines of the log that the processes of a group bring about: whose they are is said by the supervisor, and of too many the number.

use crate::escape;
use crate::log::{self, About, Level, Message};
use crate::plan::fleet::{GenerationId, WorkerKey, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::sys::clock;

impl Supervisor {
    /// Whether a line that the group has caused is to be logged. It counts as long as it is in the log.
    fn may_say(&mut self, key: ZygoteKey, level: Level, line: &[u8]) -> bool {
        self.may_log(key, level, log::length(level, line))
    }

    fn may_log(&mut self, key: ZygoteKey, level: Level, bytes: usize) -> bool {
        let length = u64::try_from(bytes).unwrap_or(u64::MAX);
        let group = self.runtimes.group_mut(key);
        log::takes(level) && group.is_none_or(|group| group.lines.take_line(clock::now(), length))
    }

    /// A line that the group's processes have caused.
    pub(in crate::supervisor) fn log_of(&mut self, key: ZygoteKey, level: Level, line: &str) {
        if self.may_say(key, level, line.as_bytes()) {
            log::message(level, line);
        }
    }

    /// A message of the catalogue that the group's processes have caused.
    pub(in crate::supervisor) fn log_message_of(&mut self, key: ZygoteKey, message: &Message) {
        if self.may_log(key, message.level(), log::length_of(message)) {
            log::say(message);
        }
    }

    /// The same, of bytes that may stand in a line.
    pub(in crate::supervisor) fn log_bytes_of(&mut self, key: ZygoteKey, level: Level, line: &[u8]) {
        if self.may_say(key, level, line) {
            log::bytes(level, line);
        }
    }

    /// A line of a zygote's own.
    pub(in crate::supervisor) fn zygote_said(&mut self, key: ZygoteKey, level: Level, text: &str) {
        let group = self.runtimes.group_name(key);
        let pid = self.runtimes.zygote(key).map(|z| z.pid.as_raw());
        let who = format!("[group {group}] zygote {}", pid.unwrap_or(0));
        if !self.may_say(key, level, format!("{who}: {text}").as_bytes()) {
            return;
        }
        log::told_by(&About { group: Some(&group), pid, ..About::default() }, &who, level, text);
    }

    /// Why its PHP doesn't start.
    pub(in crate::supervisor) fn php_failed(&mut self, key: ZygoteKey, reason: &str) {
        let line = format!("[group {}] PHP could not be started: {reason}", self.runtimes.group_name(key));
        self.log_of(key, Level::Error, &line);
        self.results.reason(&escape::line(line.as_bytes()));
    }

    /// Why a worker can't serve.
    pub(in crate::supervisor) fn worker_failed(&mut self, key: WorkerKey, reason: &str) {
        let line = of_pool(&self.runtimes.pool_name(key.of_pool()), reason);
        self.log_of(key.zygote(), Level::Error, &line);
        self.results.reason(&escape::line(line.as_bytes()));
    }

    /// Tells how many lines were too many, once their second is over; of a generation that goes at once.
    pub(in crate::supervisor) fn report_dropped_lines(&mut self, of: Option<GenerationId>) {
        let now = clock::now();
        for (_, group) in self.runtimes.groups_mut().filter(|(key, _)| of.is_none_or(|of| of == key.generation)) {
            if let Some(count) = group.lines.settle(now, of.is_some()) {
                let name = &group.spec.group;
                log::warning(format!("[group {name}] too many lines of its processes: {count} dropped"));
            }
        }
    }
}

/// What a worker says of itself begins with its pool, whatever pool it names itself.
fn of_pool(pool: &str, text: &str) -> String {
    let prefix = format!("[pool {pool}] ");
    if text.starts_with(&prefix) { text.to_owned() } else { prefix + text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_speaks_for_its_own_pool_alone() {
        assert_eq!(of_pool("www", "[pool www] failed to chroot(/x)"), "[pool www] failed to chroot(/x)");
        let forged = of_pool("alice", "[pool bob] child 7 exited on signal 11 (SIGSEGV)");
        assert_eq!(forged, "[pool alice] [pool bob] child 7 exited on signal 11 (SIGSEGV)");
    }
}
