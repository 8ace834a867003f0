//! SIGUSR1: opens the error log and the access logs again.

use std::os::fd::OwnedFd;

use crate::config::PoolConfig;
use crate::ipc::{ToZygote, Trust};
use crate::log::messages::{lifecycle, pools};
use crate::log::{self, Message};
use crate::plan::fleet::PoolKey;
use crate::scoreboard::Counter;
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::Opened;
use crate::sys::failure::reason;
use crate::sys::fd;

/// Most files that are opened at the same time.
const AT_ONCE: usize = 64;

struct LoggingPool {
    key: PoolKey,
    config: PoolConfig,
    trust: Trust,
}

impl Supervisor {
    /// SIGUSR1: opens all logs again. No worker is restarted.
    pub(super) fn reopen_logs(&mut self) {
        let mut wrong = Vec::new();
        match crate::configured::open_log(&self.config.global, &self.options) {
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
                wrong.push(refusal.text().to_owned());
            }
        }
        self.reopen_access_logs(&mut wrong);
        self.results.reopened(&wrong);
    }

    /// Workers get their files before the shared counter tells them so; they wait for the file that it announces. What they write
    /// after the line in the error log is in the new files.
    fn reopen_access_logs(&mut self, wrong: &mut Vec<String>) {
        let logging = self.logging_pools();
        if logging.is_empty() {
            return;
        }
        self.reopened += 1;
        let mut opened = Opened::streams(&self.runtimes);
        let mut changed = Vec::new();
        for some in logging.chunks(AT_ONCE) {
            some.iter().for_each(|pool| opened.begin(&pool.config, &pool.trust));
            for pool in some {
                let file = opened.open(&pool.config, &pool.trust).map_err(|e| e.message());
                match file.and_then(|file| self.change_access_log(pool.key, file)) {
                    Ok(()) => changed.push(pool.key),
                    Err(message) => {
                        log::say(&message);
                        wrong.push(message.text().to_owned());
                    }
                }
            }
        }
        for totals in changed.iter().filter_map(|key| self.totals_of(*key)) {
            totals.set(Counter::Reopened, self.reopened);
        }
        if changed.len() == logging.len() {
            log::say(&pools::access_log_reopened());
        } else {
            log::say(&pools::access_log_not_reopened());
        }
    }

    /// The pools of all generations that have an access log.
    fn logging_pools(&self) -> Vec<LoggingPool> {
        let mut found = Vec::new();
        for key in self.runtimes.keys() {
            let group = self.runtimes.group(key);
            let pools = group.into_iter().flat_map(|g| g.spec.pools.iter().enumerate().map(move |p| (&g.spec, p)));
            let logging = pools.filter(|(_, (_, pool))| pool.access_log_fd.is_some());
            found.extend(logging.map(|(spec, (index, pool))| LoggingPool {
                key: key.of_pool(index),
                config: pool.config.clone(),
                trust: spec.trust(pool),
            }));
        }
        found
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
