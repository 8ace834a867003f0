//! Requests that take too long: what is said of them, and where they are, which their workers' tracers tell.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::escape;
use crate::ipc::FORMER_PROTOCOL;
use crate::ipc::trace::{self, Packet};
use crate::log::messages::workers;
use crate::log::{self, Level, Message};
use crate::plan::fleet::{Event, WorkerKey};
use crate::scoreboard::Counter;
use crate::status::Process;
use crate::supervisor::Supervisor;
use crate::supervisor::generation::runtime;
use crate::supervisor::slow::slowlog;
use crate::supervisor::slow::slowlog::Unwritten;
use crate::sys::failure::reason;
use crate::sys::log_file::Owner;
use crate::sys::packets::{self, Received};

/// The way to a worker's tracer.
#[derive(Debug)]
pub struct Tracer {
    question: OwnedFd,
    answer: OwnedFd,
    /// It is waited for an answer; what comes unasked isn't read.
    token: Option<u64>,
    /// What its answer is for.
    slow: bool,
    over: bool,
    text: Vec<u8>,
}

/// Which limit a request has passed.
#[derive(Debug, Clone, Copy)]
enum Late {
    /// `request_slowlog_timeout`.
    Slow,
    /// `request_terminate_timeout`.
    TimedOut,
}

/// Most bytes of a slow log that wait for its reader.
const MOST_UNWRITTEN: usize = 256 * 1024;
/// How long a directory of a slow log is waited for before this image ends.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Two pipes for a new worker, if its pool limits requests; the ends that go to it. One of a former version couldn't have them.
    pub(in crate::supervisor) fn new_tracer(&mut self, key: WorkerKey) -> Option<(OwnedFd, OwnedFd)> {
        let pool = runtime::pool(&self.runtimes, key.of_pool())?;
        if pool.request_slowlog_timeout.is_zero() && pool.request_terminate_timeout.is_zero() {
            return None;
        }
        let zygote = runtime::group(&self.runtimes, key.zygote()).and_then(|g| g.zygote.as_ref());
        if zygote.is_some_and(|z| z.protocol == Some(FORMER_PROTOCOL)) {
            return None;
        }
        let pipes = packets::pair().and_then(|questions| Ok((questions, packets::pair()?)));
        let ((theirs, question), (answer, their_answer)) =
            pipes.map_err(|e| log::error(format!("[pool {}] slow requests can't be traced: {e}", pool.name))).ok()?;
        self.add_tracer(key, question, answer);
        Some((theirs, their_answer))
    }

    /// One that a former image made, or a new one.
    pub(in crate::supervisor) fn add_tracer(&mut self, key: WorkerKey, question: OwnedFd, answer: OwnedFd) {
        self.drop_tracer(key);
        let tracer = Tracer { question, answer, token: None, slow: false, over: false, text: Vec::new() };
        self.tracers.insert(key, tracer);
    }

    /// Its worker has ended.
    pub(in crate::supervisor) fn drop_tracer(&mut self, key: WorkerKey) {
        if let Some(tracer) = self.tracers.remove(&key)
            && let Some(token) = tracer.token
        {
            self.poller.remove(&tracer.answer, token);
        }
    }

    /// `request_slowlog_timeout` is over.
    pub(in crate::supervisor) fn say_slow(&mut self, key: WorkerKey) {
        self.say_late(key, Late::Slow);
        if let Some(totals) = self.totals_of(key.of_pool()) {
            totals.add(Counter::Slow, 1);
        }
        if self.ask(key, |tracer| tracer.slow = true).is_none() {
            self.note_slow(key, b"", false);
        }
    }

    /// `request_terminate_timeout` is over.
    pub(in crate::supervisor) fn say_timed_out(&mut self, key: WorkerKey) {
        self.say_late(key, Late::TimedOut);
        if self.ask(key, |tracer| tracer.over = true).is_none() {
            self.pending.push_back(Event::Reported(key));
        }
    }

    fn ask(&mut self, key: WorkerKey, note: impl FnOnce(&mut Tracer)) -> Option<()> {
        let tracer = self.tracers.get_mut(&key)?;
        if tracer.token.is_none() {
            tracer.text.clear();
            forget_answers(&tracer.answer);
            tracer.token = Some(self.poller.add_tracer(&tracer.answer, key).ok()?);
        }
        // Where it doesn't take the question it doesn't answer one either.
        packets::send(&tracer.question, trace::ASK).ok()?;
        note(tracer);
        Some(())
    }

    /// The line about a request that takes too long.
    fn say_late(&mut self, key: WorkerKey, late: Late) {
        let Some(process) = runtime::board(&self.runtimes, key).and_then(|board| board.worker(key.slot)) else {
            return;
        };
        let line = late_line(&self.pool_name(key), self.pid(key), &process, late);
        self.say_message_of(key.zygote(), &line);
    }

    fn pid(&self, key: WorkerKey) -> i32 {
        self.fleet.worker(key).and_then(|w| w.pid).unwrap_or(0)
    }

    /// Takes an answer in.
    pub(in crate::supervisor) fn hear_tracer(&mut self, key: WorkerKey) {
        let mut packet = [0; packets::LONGEST];
        // Bounded: others are to have their turn.
        for _ in 0..32 {
            let Some(tracer) = self.tracers.get_mut(&key).filter(|tracer| tracer.token.is_some()) else { return };
            let length = match packets::receive(&tracer.answer, &mut packet) {
                Ok(Received::Packet(length)) => length,
                Ok(Received::Nothing) => return,
                Ok(Received::Gone) | Err(_) => return self.lose_tracer(key),
            };
            let Some((kind, text)) = trace::open(packet.get(..length).unwrap_or_default()) else {
                return self.lose_tracer(key);
            };
            tracer.text.extend_from_slice(text);
            if tracer.text.len() > trace::MOST {
                return self.lose_tracer(key);
            }
            if kind != Packet::More {
                return self.answered(key, kind == Packet::Last);
            }
        }
    }

    /// Its worker ends, or it talks nonsense.
    fn lose_tracer(&mut self, key: WorkerKey) {
        self.answered(key, false);
        self.drop_tracer(key);
    }

    fn answered(&mut self, key: WorkerKey, complete: bool) {
        let Some(tracer) = self.tracers.get_mut(&key) else { return };
        let text = std::mem::take(&mut tracer.text);
        let (slow, over) = (std::mem::take(&mut tracer.slow), std::mem::take(&mut tracer.over));
        if let Some(token) = tracer.token.take() {
            self.poller.remove(&tracer.answer, token);
        }
        if slow {
            self.note_slow(key, &text, complete);
        }
        if over {
            let calls = slowlog::in_one_line(&text);
            if !calls.is_empty() {
                let start = format!("[pool {}] child {} was in ", self.pool_name(key), self.pid(key));
                self.say_bytes_of(key.zygote(), Level::Warning, &[start.as_bytes(), &calls].concat());
            }
            self.feed(Event::Reported(key));
        }
    }

    fn note_slow(&mut self, key: WorkerKey, text: &[u8], complete: bool) {
        let pool = runtime::pool(&self.runtimes, key.of_pool());
        let Some((pool, path)) = pool.and_then(|pool| Some((pool, pool.slowlog.as_ref()?))) else { return };
        let entry = slowlog::entry(&log::slow_heading(&pool.name, self.pid(key)), text, complete);
        let group = runtime::group(&self.runtimes, key.zygote());
        let spec = group.and_then(|group| Some((&group.spec, group.spec.pools.get(key.pool)?)));
        let owner = spec.map_or(Owner::Pool(None), |(spec, pool)| spec.trust(pool).owner_of_logs());
        let unwritten = self.slow_entries.entry(path.clone()).or_insert_with(|| Unwritten::new(owner));
        unwritten.bytes.extend(entry);
    }

    /// Writes what has come since the last time: many that are slow at once cost no more than one.
    pub(in crate::supervisor) fn write_slow_logs(&mut self) {
        self.write_slow_logs_until(None);
    }

    fn write_slow_logs_until(&mut self, until: Option<Instant>) {
        for (path, mut entries) in std::mem::take(&mut self.slow_entries) {
            if let Err(e) = entries.append(&path, until) {
                log::error(format!("unable to open slowlog ({}): {}", path.display(), reason(&e)));
            } else if entries.bytes.len() > MOST_UNWRITTEN {
                say_lost(&path, &entries.bytes);
            } else if !entries.bytes.is_empty() {
                self.slow_entries.insert(path, entries);
            }
        }
    }

    /// The same before this image ends: what isn't taken now is lost.
    pub(in crate::supervisor) fn finish_slow_logs(&mut self) {
        self.write_slow_logs_until(Some(Instant::now() + LAST_PATIENCE));
        std::mem::take(&mut self.slow_entries).iter().for_each(|(path, entries)| say_lost(path, &entries.bytes));
    }

    /// For the next image.
    pub(in crate::supervisor) fn tracer_descriptors(&self) -> Vec<(WorkerKey, i32, i32)> {
        let of = |(key, tracer): (&WorkerKey, &Tracer)| (*key, tracer.question.as_raw_fd(), tracer.answer.as_raw_fd());
        self.tracers.iter().map(of).collect()
    }
}

/// What was said before anybody asked.
fn forget_answers(answer: &OwnedFd) {
    const MOST: usize = 1024;
    let mut packet = [0; packets::LONGEST];
    let _ = (0..MOST).find(|_| !matches!(packets::receive(answer, &mut packet), Ok(Received::Packet(_))));
}

fn say_lost(path: &Path, entries: &[u8]) {
    log::warning(format!("slowlog ({}) is not read: {} bytes lost", path.display(), entries.len()));
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
