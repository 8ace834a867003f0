//! SIGUSR1: opens the error log and the access logs again.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::configured::begin_log;
use crate::ipc::ToZygote;
use crate::log::messages::{lifecycle, pools};
use crate::log::{self, Message};
use crate::plan::fleet::{PoolKey, ZygoteKey};
use crate::scoreboard::Counter;
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::{GroupRuntime, LoggingPool, Opened, Reopening};
use crate::sys::failure::reason;
use crate::sys::fd;

/// Most files that are opened at the same time.
const AT_ONCE: usize = 64;
/// How long the event loop waits for all files together. What is not open by then is looked at in each turn of the loop.
const BRIEF: Duration = Duration::from_millis(40);

impl Supervisor {
    /// SIGUSR1: opens all logs again. No worker is restarted.
    pub(super) fn reopen_logs(&mut self) {
        self.abandon_reopening();
        let waiting = self.logging_pools();
        let of_pools = !waiting.is_empty();
        self.reopened += u64::from(of_pools);
        let opened = Opened::streams(&self.runtimes);
        let error_log = Some(begin_log(&self.config.global, &self.options));
        let (changed, wrong) = (Vec::new(), Vec::new());
        self.reopening = Some(Reopening { error_log, of_pools, opened, waiting, begun: 0, changed, wrong, failed: 0 });
        self.continue_reopening(Instant::now() + BRIEF);
    }

    /// The error log is used from the moment at which it is open.
    fn take_error_log(&self, going: &mut Reopening, until: Instant) {
        let Some(outcome) = going.error_log.as_mut().and_then(|opening| opening.poll(until)) else { return };
        going.error_log = None;
        match outcome {
            Ok(sink) => {
                // A standard stream has no name to be opened by.
                let own = self.config.global.error_log.file().and_then(fd::standard_stream).is_some();
                if let Some(sink) = sink.filter(|_| !own) {
                    log::set_sink(sink, false);
                }
                log::say(&lifecycle::error_log_reopened());
            }
            Err(e) => {
                let refusal = e.message();
                log::say(&refusal);
                log::say(&lifecycle::error_log_not_reopened());
                going.wrong.push(refusal.text().to_owned());
            }
        }
    }

    /// Whether logs are still being opened again.
    pub(super) fn is_reopening(&self) -> bool {
        self.reopening.is_some()
    }

    /// Takes the logs that are open by now. One that does not answer delays no other one.
    pub(super) fn advance_reopening(&mut self) {
        self.continue_reopening(Instant::now());
    }

    /// Workers get their files before the shared counter tells them so; they wait for the file that it announces. What they write
    /// after the line in the error log is in the new files.
    fn continue_reopening(&mut self, until: Instant) {
        let Some(mut going) = self.reopening.take() else { return };
        self.take_error_log(&mut going, until);
        loop {
            let Reopening { opened, waiting, begun, .. } = &mut going;
            while *begun < waiting.len().min(AT_ONCE) {
                let at = waiting.len() - 1 - *begun;
                waiting.get(at).into_iter().for_each(|pool| opened.begin(&pool.config, &pool.trust));
                *begun += 1;
            }
            let first = waiting.len() - *begun;
            let ready = |pool: &LoggingPool| opened.is_begun(&pool.config, &pool.trust, until);
            let Some(at) = waiting.iter().skip(first).rposition(ready) else { break };
            let pool = waiting.remove(first + at);
            *begun -= 1;
            self.take_reopened(&mut going, &pool);
        }
        self.announce_reopened(&mut going);
        if going.waiting.is_empty() && going.error_log.is_none() {
            self.report_reopened(&going);
        } else {
            self.reopening = Some(going);
        }
    }

    fn take_reopened(&mut self, going: &mut Reopening, pool: &LoggingPool) {
        let file = going.opened.open(&pool.config, &pool.trust).map_err(|e| e.message());
        match file.and_then(|file| self.change_access_log(pool.key, file)) {
            Ok(()) => going.changed.push((pool.key, pool.config.name.clone())),
            Err(message) => {
                log::say(&message);
                going.wrong.push(message.text().to_owned());
                going.failed += 1;
            }
        }
    }

    /// Tells the workers of pools whose logs are open in all generations.
    fn announce_reopened(&self, going: &mut Reopening) {
        let Reopening { changed, waiting, .. } = going;
        for (key, _) in changed.extract_if(.., |(_, name)| waiting.iter().all(|pool| pool.config.name != *name)) {
            if let Some(totals) = self.totals_of(key) {
                totals.set(Counter::Reopened, self.reopened);
            }
        }
    }

    fn report_reopened(&mut self, going: &Reopening) {
        if going.of_pools {
            log::say(&if going.failed == 0 { pools::access_log_reopened() } else { pools::access_log_not_reopened() });
        }
        self.results.reopened(&going.wrong);
    }

    /// Ends the opening of logs that have not answered yet: they are opened once more, or by another image.
    pub(super) fn abandon_reopening(&mut self) {
        if let Some(mut going) = self.reopening.take() {
            going.failed += going.waiting.len();
            self.report_reopened(&going);
        }
    }

    /// The pools of all generations that have an access log.
    fn logging_pools(&self) -> Vec<LoggingPool> {
        self.runtimes.keyed().flat_map(|(key, group)| group.logging_pools(key)).collect()
    }

    /// A new group has the access logs that another one had until now: if those are being opened again, so are its own.
    pub(super) fn reopen_later(&mut self, key: ZygoteKey, group: &GroupRuntime) {
        if let Some(going) = &mut self.reopening {
            // Those at the end have begun.
            going.waiting.splice(..0, group.logging_pools(key));
        }
    }

    fn change_access_log(&mut self, key: PoolKey, file: Option<OwnedFd>) -> Result<(), Message> {
        let group = self.runtimes.group_mut(key.zygote);
        let (Some(group), Some(file)) = (group, file) else { return Ok(()) };
        let copy = file.try_clone().map_err(|e| pools::access_log_not_passed_on(reason(&e)))?;
        group.set_access_log(key.pool, file);
        self.send(key.zygote, &ToZygote::AccessLog { pool: key.pool, reopened: self.reopened }, vec![copy]);
        Ok(())
    }
}
