//! Requests that take too long: the log lines about them, and the handling of their tracers' answers.

use std::os::fd::OwnedFd;

use crate::escape;
use crate::ipc::FORMER_PROTOCOL;
use crate::log::messages::{output, workers};
use crate::log::{self, Level, Message};
use crate::plan::fleet::{Event, WorkerKey};
use crate::request_ids::RequestIds;
use crate::scoreboard::Counter;
use crate::status::Process;
use crate::supervisor::core::Supervisor;
use crate::supervisor::slow::{self, Answer, Question};

/// Which limit a request has passed.
#[derive(Debug, Clone, Copy)]
enum Late {
    /// `request_slowlog_timeout`.
    Slow,
    /// `request_terminate_timeout`.
    TimedOut,
}

impl Supervisor {
    /// Ways to the tracer of a new worker, where its pool limits requests. The workers of a former version's zygote have none.
    pub(super) fn open_tracer(&mut self, key: WorkerKey) -> Option<(OwnedFd, OwnedFd)> {
        let pool = self.runtimes.pool(key.of_pool())?;
        if pool.request_slowlog_timeout.is_zero() && pool.request_terminate_timeout.is_zero() {
            return None;
        }
        if self.runtimes.zygote(key.zygote()).is_some_and(|z| z.protocol == Some(FORMER_PROTOCOL)) {
            return None;
        }
        let failed = |e| log::say(&output::requests_not_traced(&pool.name, e));
        self.tracers.open(&mut self.poller, key, &pool.name).map_err(failed).ok()
    }

    /// `request_slowlog_timeout` is over.
    pub(super) fn report_slow(&mut self, key: WorkerKey) {
        let ids = self.log_late(key, Late::Slow);
        if let Some(totals) = self.totals_of(key.of_pool()) {
            totals.add(Counter::Slow, 1);
        }
        let pid = self.pid(key);
        if !self.tracers.ask(&mut self.poller, key, (pid, ids), Question::Slow) {
            self.write_slow(key, (pid, ids), b"", false);
        }
    }

    /// `request_terminate_timeout` is over.
    pub(super) fn report_timed_out(&mut self, key: WorkerKey) {
        let ids = self.log_late(key, Late::TimedOut);
        let pid = self.pid(key);
        if !self.tracers.ask(&mut self.poller, key, (pid, ids), Question::TimedOut) {
            self.pending.push_back(Event::Reported(key));
        }
    }

    /// Logs that a request takes too long. Returns its ids.
    fn log_late(&mut self, key: WorkerKey, late: Late) -> Option<RequestIds> {
        let (process, ids) = self.runtimes.scoreboard(key)?.identified_worker(key.slot)?;
        let line = late_line(&self.runtimes.pool_name(key.of_pool()), self.pid(key), &process, late);
        self.log_of(key.zygote(), &line.of_request(ids));
        ids
    }

    fn pid(&self, key: WorkerKey) -> i32 {
        self.fleet.worker(key).and_then(|w| w.pid).unwrap_or(0)
    }

    /// Reads what a worker's tracer has sent.
    pub(super) fn hear_tracer(&mut self, key: WorkerKey) {
        if let Some(answer) = self.tracers.hear(&mut self.poller, key) {
            self.write_trace(key, &answer);
            if answer.timed_out {
                self.feed(Event::Reported(key));
            }
        }
    }

    /// A worker has ended: what its tracer has sent before is still written.
    pub(super) fn close_tracer(&mut self, key: WorkerKey) {
        if let Some(answer) = self.tracers.hear(&mut self.poller, key) {
            self.write_trace(key, &answer);
        }
        self.tracers.remove(&mut self.poller, key);
    }

    fn write_trace(&mut self, key: WorkerKey, answer: &Answer) {
        if answer.slow {
            self.write_slow(key, (answer.pid, answer.ids), &answer.text, answer.complete);
        }
        let calls = if answer.timed_out { slow::in_one_line(&answer.text) } else { Vec::new() };
        if !calls.is_empty() {
            let start = format!("[pool {}] child {} was in ", self.runtimes.pool_name(key.of_pool()), answer.pid);
            let line = [start.as_bytes(), &calls].concat();
            self.log_bytes_of(key.zygote(), Level::Warning, &line, answer.ids);
        }
    }

    /// Adds an entry to the pool's slow log.
    fn write_slow(&mut self, key: WorkerKey, of: (i32, Option<RequestIds>), text: &[u8], complete: bool) {
        let (pid, ids) = of;
        let Some(group) = self.runtimes.group(key.zygote()) else { return };
        let Some(pool) = group.spec.pools.get(key.pool) else { return };
        let Some(path) = &pool.config.slowlog else { return };
        let owner = group.spec.trust(pool).owner_of_logs();
        let heading = log::slow_heading(&pool.config.name, pid);
        self.slow_logs.add(path, owner, (&heading, ids), text, complete);
    }
}

fn late_line(pool: &str, pid: i32, process: &Process, late: Late) -> Message {
    let Process { script, method, uri, query, duration, .. } = process;
    let seconds = format!("{}.{:06}", duration / 1_000_000, duration % 1_000_000);
    // As php-fpm shows a script's name: what isn't printable ASCII is a dot.
    let printable = |&byte: &u8| if (b' '..127).contains(&byte) { char::from(byte) } else { '.' };
    let script: String = script.iter().map(printable).collect();
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    let request = [method, b" ".as_slice(), uri, mark, query].concat();
    let request = escape::line(&request);
    match late {
        Late::Slow => workers::executing_too_slow(pool, pid, script, request, seconds),
        Late::TimedOut => workers::execution_timed_out(pool, pid, script, request, seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_php_fpms_and_stays_one_line() {
        let process = Process {
            script: b"/srv/\xc3\xa9.php".to_vec(),
            method: b"GET".to_vec(),
            uri: b"/x\n.php".to_vec(),
            query: b"a=1".to_vec(),
            duration: 5_018_002,
            ..Process::default()
        };
        let line = late_line("www", 7, &process, Late::Slow);
        let expected = "[pool www] child 7, script '/srv/...php' (request: \"GET /x\\x0A.php?a=1\") executing too slow (5.018002 sec), logging";
        assert_eq!(line.text(), expected);
    }
}
