//! What a worker measures for the monitor only: CPU time, memory, the opcode cache, and how long requests have waited for a worker.
//! Without a monitor it costs no system call; with one, a call for each TCP connection that comes to the worker, from a client or from
//! its own retained ones, and about eight a second.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::scoreboard::{Counter, Slot, Totals};
use crate::sys::{clock, private_memory, tcp_info};
use crate::text::request_start;

/// Between two readings of CPU times and memory, in microseconds.
const READING: u64 = 1_000_000;
/// A longer wait is an error of the parameter.
const LONGEST: u64 = 3_600_000_000;

/// The state of the measurements.
#[derive(Debug, Default)]
pub(super) struct Monitored {
    /// When CPU times and memory were last read.
    read_at: Cell<u64>,
    /// User and system time that are counted already.
    counted: Cell<(u64, u64)>,
    /// How long the first request of the present connection had waited when a worker took it.
    waited: Cell<Option<Duration>>,
}

fn is_on(totals: &Totals) -> bool {
    totals.get(Counter::Monitored) != 0
}

impl Monitored {
    /// The next requests come on this connection.
    pub(super) fn attached(&self, totals: &Totals, connection: BorrowedFd<'_>) {
        let waited = if is_on(totals) { tcp_info::since_last_data(connection) } else { None };
        self.waited.set(waited);
    }

    /// A request has ended, so many microseconds after its first byte was read.
    pub(super) fn ended<'a>(&self, totals: &Totals, duration: u64, variable: &dyn Fn(&[u8]) -> Option<&'a [u8]>) {
        let of_connection = self.waited.take();
        if !is_on(totals) {
            return;
        }
        let begun = clock::wall().saturating_sub(duration);
        let sent = variable(b"REQUEST_START").and_then(request_start);
        let waited = sent.and_then(|sent| begun.checked_sub(sent)).filter(|waited| *waited <= LONGEST);
        let of_connection = of_connection.and_then(|waited| u64::try_from(waited.as_micros()).ok());
        if let Some(waited) = waited.or(of_connection) {
            totals.waited(waited);
        }
    }

    /// The worker is idle again. Returns whether it is the one to note the numbers of the opcode cache.
    pub(super) fn measure(&self, slot: &Slot) -> bool {
        let totals = slot.totals();
        if !is_on(totals) {
            return false;
        }
        let now = slot.idle_since();
        if now.saturating_sub(self.read_at.get()) >= READING {
            self.read_at.set(now);
            self.count_cpu(totals);
            if let Some(bytes) = private_memory::of_this_process() {
                slot.note_private_memory(bytes);
            }
        }
        totals.claim_code_cache(now)
    }

    /// The worker exits.
    pub(super) fn leave(&self, totals: &Totals) {
        if is_on(totals) {
            self.count_cpu(totals);
        }
    }

    fn count_cpu(&self, totals: &Totals) {
        let now = clock::cpu_times();
        let before = self.counted.replace(now);
        totals.add(Counter::CpuUser, now.0.saturating_sub(before.0));
        totals.add(Counter::CpuSystem, now.1.saturating_sub(before.1));
    }
}
