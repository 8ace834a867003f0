//! The monitor of the supervisor: its address, its process, and what that was told. `monitor_control` starts it and tells it.
#![forbid(unsafe_code)]

mod address;
mod process;
mod state;

pub(crate) use address::{Address, Progress};
pub(crate) use process::MonitorProcess;
pub(crate) use state::MonitorState;

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::ipc::ToMonitor;
use crate::plan::pause::pause_after;
use crate::sys::clock::Moment;
use crate::sys::process::kill;

/// A monitor that has run for so long is replaced at once, however often others have ended before.
const SOUND_LIFE: Duration = Duration::from_secs(5);
/// A monitor that was told to end may take so long.
const END: Duration = Duration::from_secs(3);

/// The monitor. Without `monitor.listen` there is neither an address nor a process.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    /// Its listening socket, which outlives its processes.
    pub(crate) address: Option<Address>,
    pub(crate) process: Option<MonitorProcess>,
    /// Processes that were told to end, and when they are killed.
    ending: Vec<(Pid, Moment)>,
    /// Ends in a row.
    failures: u32,
    /// No process before this.
    pub(crate) not_before: Moment,
    /// The highest id that was told.
    pub(crate) last_id: u64,
    /// The pools may have changed.
    pub(crate) stale: bool,
}

impl Monitor {
    /// Takes over that of a former image: the address stays open, and its process ends when another one has started.
    fn of(address: Option<Address>, former: Option<MonitorProcess>) -> Self {
        Self { address, process: former, ..Self::default() }
    }

    /// Processes of a former image that were told to end.
    fn with_ending(mut self, pids: &[i32], now: Moment) -> Self {
        self.ending = pids.iter().map(|pid| (Pid::from_raw(*pid), now + END)).collect();
        self
    }

    /// The program is about to be executed again. A process that another image has started may be one of a former version: it is told
    /// nothing.
    pub(crate) fn tell_of_exec(&mut self, now: Moment) {
        if let Some(process) = self.process.as_mut().filter(|process| process.config.is_some()) {
            process.messages.send(now, &ToMonitor::Executing, Vec::new());
        }
    }

    /// Whether a process is a monitor.
    pub(crate) fn has(&self, pid: Pid) -> bool {
        self.is_present(pid) || self.ending.iter().any(|(ending, _)| *ending == pid)
    }

    /// Whether it is the present one.
    pub(crate) fn is_present(&self, pid: Pid) -> bool {
        self.process.as_ref().is_some_and(|process| process.pid == pid)
    }

    /// Closes the way of messages to the present process, which then ends.
    pub(crate) fn dismiss(&mut self, now: Moment) {
        if let Some(process) = self.process.take() {
            self.ending.push((process.pid, now + END));
        }
    }

    /// A process has ended. Whether it was the present one.
    pub(crate) fn ended(&mut self, pid: Pid, now: Moment) -> bool {
        self.ending.retain(|(ending, _)| *ending != pid);
        let Some(process) = self.process.take_if(|process| process.pid == pid) else { return false };
        let sound = now.since(process.started) >= SOUND_LIFE;
        self.failures = if sound { 1 } else { self.failures + 1 };
        self.not_before = now + pause_after(self.failures);
        true
    }

    /// It could not be started.
    pub(crate) fn failed(&mut self, now: Moment) {
        self.failures += 1;
        self.not_before = now + pause_after(self.failures.max(2));
    }

    /// The pids of those that were told to end, for the next image.
    pub(crate) fn ending(&self) -> Vec<i32> {
        self.ending.iter().map(|(pid, _)| pid.as_raw()).collect()
    }

    /// Kills processes that do not end.
    pub(crate) fn kill_late(&mut self, now: Moment) {
        for (pid, at) in self.ending.iter_mut().filter(|(_, at)| *at <= now) {
            kill(*pid, Signal::SIGKILL);
            *at = now + END;
        }
    }

    /// When something is due; `wanted`: there is to be a process.
    pub(crate) fn deadline(&self, wanted: bool, now: Moment) -> Option<Moment> {
        const RETRY: Duration = Duration::from_millis(10);
        let address = self.address.as_ref().and_then(|address| address.deadline(now));
        let start = (wanted && self.process.is_none()).then_some(self.not_before);
        let start = start.filter(|_| self.address.as_ref().is_some_and(|address| address.listener().is_some()));
        let flush = self.process.as_ref().filter(|process| process.messages.is_backed_up()).map(|_| now + RETRY);
        let ending = self.ending.iter().map(|(_, at)| *at).min();
        address.into_iter().chain(start).chain(flush).chain(ending).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::OrderSender;

    fn monitor(pid: i32, started: u64) -> Monitor {
        let mut monitor = Monitor::default();
        begin(&mut monitor, pid, started);
        monitor
    }

    fn begin(monitor: &mut Monitor, pid: i32, started: u64) {
        let (messages, _theirs) = OrderSender::pair(0).unwrap();
        monitor.process = Some(MonitorProcess::new(Pid::from_raw(pid), messages, Moment::at_millis(started), None));
    }

    #[test]
    fn pauses_grow_while_monitors_end_early() {
        let mut monitor = monitor(7, 0);
        let pause = |monitor: &mut Monitor, now: u64| {
            assert!(monitor.ended(Pid::from_raw(7), Moment::at_millis(now)));
            monitor.not_before.since(Moment::at_millis(now)).as_millis()
        };
        assert_eq!(pause(&mut monitor, 10), 0);
        begin(&mut monitor, 7, 10);
        assert_eq!(pause(&mut monitor, 20), 100);
        begin(&mut monitor, 7, 120);
        assert_eq!(pause(&mut monitor, 130), 200);
        begin(&mut monitor, 7, 1_000);
        assert_eq!(pause(&mut monitor, 6_000), 0, "it has run for a while");
    }

    #[test]
    fn one_that_was_dismissed_is_not_replaced() {
        let mut monitor = monitor(7, 0);
        monitor.dismiss(Moment::at_millis(50));
        assert!(monitor.has(Pid::from_raw(7)) && !monitor.is_present(Pid::from_raw(7)));
        assert_eq!(monitor.deadline(false, Moment::at_millis(50)), Some(Moment::at_millis(3_050)));
        assert!(!monitor.ended(Pid::from_raw(7), Moment::at_millis(60)) && !monitor.has(Pid::from_raw(7)));
        assert_eq!(monitor.deadline(false, Moment::at_millis(60)), None);
    }

    #[test]
    fn one_that_a_former_image_has_dismissed_is_known() {
        let mut former = monitor(7, 0);
        former.dismiss(Moment::at_millis(50));
        let mut next = MonitorState::adopt(None, &former.ending()).unwrap();
        let (pid, now) = (Pid::from_raw(7), crate::sys::clock::now());
        assert!(next.has(pid) && next.deadline(false, now).is_some_and(|at| at <= now + END));
        assert!(!next.ended(pid, now) && next.ending().is_empty());
    }
}
