//! Starts the monitor, tells it which pools there are, and starts another one when it ends. The supervisor reads nothing of it but what it
//! prints, and never waits for it.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::config::{ListenAddr, MonitorConfig};
use crate::ipc::{MonitorSpec, OrderSender, PoolView, ToMonitor, ViewPhase};
use crate::log::{self, messages::monitor as messages};
use crate::plan::events::{Happening, Owner};
use crate::plan::fleet::{Goal, Phase, PoolKey, describe};
use crate::scoreboard::{Counter, Fact};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::{Launch, Launched};
use crate::supervisor::monitor::{Address, MonitorProcess, Progress};
use crate::supervisor::output::Writer;
use crate::sys::clock::{self, Moment};
use crate::sys::oom_kills;
use crate::sys::process::{self, Exit};
use crate::sys::shared::read_only;

impl Supervisor {
    /// Does what is due about the monitor, in each turn of the event loop.
    pub(super) fn attend_to_monitor(&mut self) {
        let now = clock::now();
        self.service.set(Fact::Turned, now.as_millis());
        self.monitor.kill_late(now);
        let wanted = self.config.global.monitor.clone();
        self.adapt_address(wanted.as_ref(), now);
        let Some(wanted) = wanted else { return };
        if self.monitor.address.as_ref().is_none_or(|address| address.listener().is_none()) {
            return;
        }
        let fits = self.monitor.process.as_ref().is_some_and(|process| process.config.as_ref() == Some(&wanted));
        if !fits && self.monitor.not_before <= now && self.fleet.goal() == Goal::Serve {
            self.start_monitor(&wanted, now);
        }
        if std::mem::take(&mut self.monitor.stale) {
            self.note_sizes();
            self.tell_monitor(now);
        }
        self.flush_to_monitor(now);
    }

    /// Opens the address that is wanted, and closes another one.
    fn adapt_address(&mut self, wanted: Option<&MonitorConfig>, now: Moment) {
        let serves = |address: &mut Address| wanted.is_some_and(|wanted| address.serves(wanted));
        if let Some(other) = self.monitor.address.take_if(|address| !serves(address)) {
            other.give_up();
            self.monitor.dismiss(now);
        }
        let Some(wanted) = wanted else { return };
        let address = self.monitor.address.get_or_insert_with(|| Address::new(wanted.clone()));
        if let Progress::Failed(e) = address.advance(now) {
            log::say(&messages::monitor_not_listening(&wanted.listen, e));
        }
    }

    fn start_monitor(&mut self, config: &MonitorConfig, now: Moment) {
        match self.try_start_monitor(config, now) {
            Ok(process) => {
                log::say(&messages::monitor_started(process.pid, &config.listen));
                self.service.add(Fact::MonitorStarts, 1);
                // The former one has the same socket, and answers what it has accepted.
                self.monitor.dismiss(now);
                self.monitor.process = Some(process);
                self.monitor.stale = true;
            }
            Err(e) => {
                log::say(&messages::monitor_not_started(e));
                self.monitor.failed(now);
            }
        }
    }

    fn try_start_monitor(&mut self, config: &MonitorConfig, now: Moment) -> io::Result<MonitorProcess> {
        let listener = self.monitor.address.as_ref().and_then(Address::listener);
        let listener = listener.ok_or_else(|| io::Error::other("nothing listens"))?;
        let (orders, theirs) = OrderSender::pair(0)?;
        let service = read_only(self.service.as_fd())?;
        let spec = MonitorSpec {
            changes_user: nix::unistd::geteuid().is_root(),
            listen_fd: listener.as_raw_fd(),
            views_fd: theirs.as_raw_fd(),
            service_fd: service.as_raw_fd(),
            unix: config.tcp().is_none(),
            allowed_hosts: config.allowed_hosts.clone(),
            show_requests: config.show_requests,
            php: self.host.php_version.clone(),
            log_level: self.config.global.log_level,
            log_format: self.config.global.log_format,
        };
        let launch = Launch {
            program: &self.host.own_program(),
            role: "monitor",
            options: &[],
            content: &serde_json::to_vec(&spec)?,
            inherit: &[spec.listen_fd, spec.views_fd, spec.service_fd],
            nofile: self.nofile,
        };
        let Launched { pid, output } = launch.start()?;
        self.add_output(output, Writer::Monitor { pid: pid.as_raw() });
        Ok(MonitorProcess::new(pid, orders, now, Some(config.clone())))
    }

    /// Tells it what has changed, as far as it takes messages at once. The rest is told in a later turn.
    fn tell_monitor(&mut self, now: Moment) {
        let Some(mut process) = self.monitor.process.take() else { return };
        let mut present = self.pools_to_show();
        // First what serves: between two messages, no pool is without a generation that serves.
        present.sort_by_key(|(_, phase)| std::cmp::Reverse(*phase));
        let mut whole = true;
        for &(key, phase) in &present {
            if process.messages.is_backed_up() {
                self.monitor.stale = true;
                whole = false;
                break;
            }
            match process.told.get_mut(&key) {
                Some((_, told)) if *told == phase => {}
                Some((id, told)) => {
                    *told = phase;
                    process.messages.send(now, &ToMonitor::Phase { id: *id, phase }, Vec::new());
                }
                None => {
                    if let Err(e) = self.show_pool(&mut process, key, phase, now) {
                        // No descriptor is free, and none would be for the next pool. It is tried again after a second.
                        if !std::mem::replace(&mut process.lacks, true) {
                            log::say(&messages::monitor_not_told(e));
                        }
                        whole = false;
                        break;
                    }
                }
            }
        }
        if whole {
            process.lacks = false;
            let present: BTreeSet<PoolKey> = present.into_iter().map(|(key, _)| key).collect();
            let gone: Vec<PoolKey> = process.told.keys().filter(|key| !present.contains(key)).copied().collect();
            for (id, _) in gone.iter().filter_map(|key| process.told.remove(key)) {
                process.messages.send(now, &ToMonitor::Hide { id }, Vec::new());
            }
            if !std::mem::replace(&mut process.complete, true) {
                process.messages.send(now, &ToMonitor::Complete, Vec::new());
            }
        }
        self.tell_events(&mut process, now);
        self.monitor.process = Some(process);
    }

    /// Those that do not find room are told in a later turn.
    fn tell_events(&self, process: &mut MonitorProcess, now: Moment) {
        for kept in self.events.since(process.events_told) {
            if process.messages.is_backed_up() {
                return;
            }
            process.events_told = kept.change;
            process.messages.send(now, &ToMonitor::Event(kept), Vec::new());
        }
    }

    /// Something has happened that the monitor tells. It learns of it within a second.
    pub(super) fn note_event(&mut self, owner: Owner<'_>, happening: Happening, count: u64) {
        self.events.note(owner, happening, count, clock::wall() / 1000);
    }

    fn show_pool(
        &mut self,
        process: &mut MonitorProcess,
        key: PoolKey,
        phase: ViewPhase,
        now: Moment,
    ) -> io::Result<()> {
        let fds = self.memories_of(key)?;
        if let Some(view) = self.view_of(key, phase) {
            process.told.insert(key, (view.id, phase));
            process.messages.send(now, &ToMonitor::Show(view), fds);
        }
        Ok(())
    }

    /// The memories of a pool, for a process that may only read.
    fn memories_of(&mut self, key: PoolKey) -> io::Result<Vec<OwnedFd>> {
        let missing = || io::Error::other("there is no such pool");
        let group = self.runtimes.group(key.zygote).ok_or_else(missing)?;
        let (spec, pool) = group.pools().nth(key.pool).ok_or_else(missing)?;
        self.totals.publish(spec.totals_fd);
        let totals: BorrowedFd<'_> = self.totals.descriptor(spec.totals_fd).ok_or_else(missing)?;
        Ok(vec![read_only(totals)?, read_only(pool.scoreboard_fd.as_fd())?])
    }

    fn view_of(&mut self, key: PoolKey, phase: ViewPhase) -> Option<PoolView> {
        let group = self.runtimes.group(key.zygote)?;
        let spec = group.spec.pools.get(key.pool)?;
        self.monitor.last_id += 1;
        Some(PoolView {
            id: self.monitor.last_id,
            pool: spec.config.name.clone(),
            group: group.spec.group.clone(),
            generation: self.fleet.number_of(key.zygote.generation),
            address: spec.config.listen.first().map(uri).unwrap_or_default(),
            manager: spec.config.pm.name().to_owned(),
            slots: spec.slots,
            limit: spec.config.pm_max_children,
            phase,
        })
    }

    /// All pools, with those of former generations, and how far their generations have come.
    fn pools_to_show(&self) -> Vec<(PoolKey, ViewPhase)> {
        let mut pools = Vec::new();
        for (key, group) in self.runtimes.keyed() {
            let phase = match self.fleet.generation(key.generation).map(|generation| generation.phase) {
                Some(Phase::Serving | Phase::Settling) => ViewPhase::Serving,
                Some(Phase::Draining) | None => ViewPhase::Draining,
                Some(_) => ViewPhase::Starting,
            };
            // The hidden pool of `pm.status_listen` is none of the operator's.
            let shown = group.spec.pools.iter().enumerate().filter(|(_, pool)| pool.config.status_of.is_none());
            pools.extend(shown.map(|(pool, _)| (key.of_pool(pool), phase)));
        }
        pools
    }

    fn flush_to_monitor(&mut self, now: Moment) {
        let Some(process) = &mut self.monitor.process else { return };
        process.messages.flush(now);
        if process.messages.is_stalled(now) {
            log::say(&messages::monitor_stalled(process.pid));
            process::kill(process.pid, Signal::SIGKILL);
            self.monitor.dismiss(now);
        }
    }

    /// When `attend_to_monitor` is due.
    pub(super) fn monitor_deadline(&self, now: Moment) -> Option<Moment> {
        let wanted = self.config.global.monitor.is_some() && self.fleet.goal() == Goal::Serve;
        self.monitor.deadline(wanted, now)
    }

    /// A process of the monitor has been reaped.
    pub(super) fn monitor_ended(&mut self, pid: Pid, exit: Exit) {
        self.outputs.drain_of(&mut self.poller, |writer| *writer == Writer::Monitor { pid: pid.as_raw() });
        if self.monitor.ended(pid, clock::now()) {
            log::say(&messages::monitor_ended(pid, describe(exit)));
        }
        self.close_outputs_of_ended();
    }

    /// Once a second: has the monitor told what may have changed.
    pub(super) fn note_for_monitor(&mut self) {
        let is_on = self.config.global.monitor.is_some();
        self.totals.all().for_each(|totals| totals.set(Counter::Monitored, u64::from(is_on)));
        self.monitor.stale = is_on;
        if is_on {
            self.oom_kills.look(oom_kills::so_far());
        }
    }

    /// Writes how many workers pools may have and are to have.
    fn note_sizes(&self) {
        // There may be thousands of pools: they are not looked up one by one.
        let all = self.totals.by_descriptor();
        for (key, phase) in self.pools_to_show() {
            let spec = self.runtimes.group(key.zygote).and_then(|group| group.spec.pools.get(key.pool));
            if let Some(spec) = spec.filter(|_| phase == ViewPhase::Serving)
                && let Some(totals) = all.get(&spec.totals_fd)
            {
                totals.set(Counter::Limit, spec.config.pm_max_children.into());
                totals.set(Counter::Wanted, self.fleet.wanted(key).into());
            }
        }
    }
}

/// An address as hipages/php-fpm_exporter writes it.
fn uri(address: &ListenAddr) -> String {
    match address {
        ListenAddr::Unix(path) => format!("unix://{}", path.display()),
        ListenAddr::Tcp { spec, .. } => format!("tcp://{spec}"),
    }
}
