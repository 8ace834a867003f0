//! Log lines that processes of a group cause. The supervisor says which group, pool and process a line is about, and counts lines
//! beyond the group's budget instead of logging them.

use crate::escape;
use crate::log::messages::{workers, zygotes};
use crate::log::{self, About, Level, Message};
use crate::plan::events::{Happening, Owner};
use crate::plan::fleet::{GenerationId, WorkerEnd, WorkerKey, ZygoteEnd, ZygoteKey};
use crate::request_ids::RequestIds;
use crate::scoreboard::Fact;
use crate::supervisor::core::Supervisor;
use crate::sys::clock;

impl Supervisor {
    /// Whether to log a line that the group has caused. It counts with the length that it has in the log.
    fn may_log_line(&mut self, key: ZygoteKey, level: Level, line: &[u8]) -> bool {
        self.may_log(key, level, log::length(level, line))
    }

    fn may_log(&mut self, key: ZygoteKey, level: Level, bytes: usize) -> bool {
        let length = u64::try_from(bytes).unwrap_or(u64::MAX);
        let group = self.runtimes.group_mut(key);
        if !log::takes(level) {
            return false;
        }
        let fits = group.is_none_or(|group| group.lines.take_line(clock::now(), length));
        if !fits {
            self.dropping.insert(key);
        }
        fits
    }

    /// Logs a message of the catalogue that the group's processes have caused.
    pub(super) fn log_of(&mut self, key: ZygoteKey, message: &Message) {
        if self.may_log(key, message.level(), log::length_of(message)) {
            log::say(message);
        }
    }

    /// Logs a line of bytes about a request that the group's processes have caused. They are escaped already.
    pub(super) fn log_bytes_of(&mut self, key: ZygoteKey, level: Level, line: &[u8], ids: Option<RequestIds>) {
        if self.may_log_line(key, level, line) {
            log::bytes(level, line, ids);
        }
    }

    /// Logs a line that a zygote has sent.
    pub(super) fn zygote_said(&mut self, key: ZygoteKey, level: Level, text: &str) {
        let group = self.runtimes.group_name(key);
        let pid = self.runtimes.zygote(key).map(|z| z.pid.as_raw());
        let who = format!("[group {group}] zygote {}", pid.unwrap_or(0));
        if !self.may_log_line(key, level, format!("{who}: {text}").as_bytes()) {
            return;
        }
        log::told_by(&About { group: Some(&group), pid, ..About::default() }, &who, level, text);
    }

    /// Logs why a zygote can't start PHP.
    pub(super) fn php_failed(&mut self, key: ZygoteKey, reason: &str) {
        let message = zygotes::php_not_started(self.runtimes.group_name(key), reason);
        self.log_of(key, &message);
        self.results.reason(&escape::line(message.text().as_bytes()));
        self.note_reason(key.generation, &escape::line(format!("PHP could not be started: {reason}").as_bytes()));
    }

    /// Logs why a worker can't serve.
    pub(super) fn worker_failed(&mut self, key: WorkerKey, reason: &str) {
        let message = of_pool(&self.runtimes.pool_name(key.of_pool()), reason);
        self.log_of(key.zygote(), &message);
        self.results.reason(&escape::line(message.text().as_bytes()));
    }

    /// Logs that a worker was forked.
    pub(super) fn log_start(&mut self, key: WorkerKey, pid: i32, replaces: bool) {
        let level = if replaces { Level::Notice } else { Level::Debug };
        let pool = self.runtimes.pool_name(key.of_pool());
        self.log_of(key.zygote(), &workers::child_started(pool, pid).at(level));
    }

    /// Logs how a worker has ended.
    pub(super) fn log_worker_end(&mut self, key: WorkerKey, end: &WorkerEnd) {
        let message = end.message(&self.runtimes.pool_name(key.of_pool()));
        let ids = self.ids_at_end.remove(&key);
        self.log_of(key.zygote(), &message.of_request(ids));
    }

    /// Logs how a zygote has ended.
    pub(super) fn log_zygote_end(&mut self, key: ZygoteKey, end: &ZygoteEnd) {
        let group = self.runtimes.group_name(key);
        let message = end.message(&group);
        self.log_of(key, &message);
        let reason = message.text().trim_start_matches(&format!("[group {group}] "));
        self.note_reason_at_least(key.generation, reason);
    }

    /// Logs how many lines were dropped, when their second is over; those of a generation that is forgotten at once.
    pub(super) fn report_dropped_lines(&mut self, of: Option<GenerationId>) {
        let now = clock::now();
        let concerned = |key: &ZygoteKey| of.is_none_or(|of| of == key.generation);
        for key in self.dropping.iter().copied().filter(concerned).collect::<Vec<_>>() {
            let group = self.runtimes.group_mut(key);
            let settled = group.map(|group| (group.lines.settle(now, of.is_some()), &group.spec.group));
            match settled {
                Some((Some(count), name)) => {
                    log::say(&zygotes::lines_dropped(name, count));
                    self.service.add(Fact::LinesDropped, count);
                    let name = name.clone();
                    self.note_event(Owner::Group(&name), Happening::LinesDropped(name.clone()), count);
                }
                Some((None, _)) => continue,
                None => {}
            }
            self.dropping.remove(&key);
        }
    }
}

/// A worker's line begins with its pool, whatever pool it names itself.
fn of_pool(pool: &str, text: &str) -> Message {
    let reason = text.strip_prefix(&format!("[pool {pool}] ")).unwrap_or(text);
    zygotes::worker_not_set_up(pool, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_speaks_for_its_own_pool_alone() {
        assert_eq!(of_pool("www", "[pool www] failed to chroot(/x)").text(), "[pool www] failed to chroot(/x)");
        let forged = of_pool("alice", "[pool bob] child 7 exited on signal 11 (SIGSEGV)");
        assert_eq!(forged.text(), "[pool alice] [pool bob] child 7 exited on signal 11 (SIGSEGV)");
    }
}
