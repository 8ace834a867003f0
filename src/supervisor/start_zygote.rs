//! Starts zygotes: by a base zygote, or by executing the program of their pools.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::ipc::{OrderSender, ReportReceiver, ToSupervisor, ZygoteSpec};
use crate::log::{self, messages::zygotes};
use crate::plan::fleet::{Event, ZygoteKey};
use crate::supervisor::bases::Pending;
use crate::supervisor::core::Supervisor;
use crate::supervisor::event_loop::sigterm_is_graceful;
use crate::supervisor::generation::{Drain, GroupRuntime, Launch};
use crate::supervisor::output::Writer;
use crate::sys::process_limits::ProcessLimits;

/// What a new zygote needs.
pub(super) struct ZygoteParts {
    /// Descriptors by their numbers here.
    pub(super) spec: ZygoteSpec,
    /// Our ends.
    pub(super) orders: OrderSender,
    pub(super) reports: ReportReceiver<ToSupervisor>,
    pub(super) drain: Drain,
    /// The zygote's ends, which the specification names.
    pub(super) theirs: [OwnedFd; 3],
}

impl Supervisor {
    pub(super) fn spawn_zygote(&mut self, key: ZygoteKey) {
        if !self.want_from_base(key) {
            self.start_alone(key, None);
        }
        self.send_links(key);
    }

    /// Starts a zygote that starts PHP itself. `pending`: orders that were sent to it already.
    pub(super) fn start_alone(&mut self, key: ZygoteKey, pending: Option<Pending>) {
        if let Err(e) = self.try_start_alone(key, pending) {
            let message = zygotes::zygote_not_started(e);
            log::say(&message);
            self.note_reason(key.generation, message.text());
            self.pending.push_back(Event::ZygoteGone(key));
        }
    }

    /// The specification of a zygote that is about to start, and the ends of its channels. `None`: there is no such group.
    pub(super) fn zygote_parts(&mut self, key: ZygoteKey, pending: Pending) -> std::io::Result<Option<ZygoteParts>> {
        self.check_room_for_zygote()?;
        let number = self.fleet.number_of(key.generation);
        let Some(group) = self.runtimes.group(key) else { return Ok(None) };
        group.spec.pools.iter().for_each(|pool| self.totals.publish(pool.totals_fd));
        let (orders, theirs) = pending.into_ends();
        let (reports, reporting) = ReportReceiver::pair(&group.spec.group)?;
        let (drain, drained) = Drain::new()?;
        let mut spec = group.spec.clone();
        spec.generation = number;
        spec.log_level = self.config.global.log_level;
        spec.log_format = self.config.global.log_format;
        spec.control_fd = theirs.as_raw_fd();
        spec.reports_fd = Some(reporting.as_raw_fd());
        spec.drain_fd = drained.as_raw_fd();
        spec.reopened = self.reopened;
        spec.graceful = sigterm_is_graceful(&self.config.global);
        spec.processes = ProcessLimits::of_process().ok();
        Ok(Some(ZygoteParts { spec, orders, reports, drain, theirs: [theirs, reporting, drained] }))
    }

    fn try_start_alone(&mut self, key: ZygoteKey, pending: Option<Pending>) -> std::io::Result<()> {
        let Some(slots) = self.runtimes.group(key).map(GroupRuntime::slots) else { return Ok(()) };
        let pending = pending.map_or_else(|| Pending::new(slots), Ok)?;
        let Some(ZygoteParts { mut spec, orders, reports, drain, theirs: _theirs }) =
            self.zygote_parts(key, pending)?
        else {
            return Ok(());
        };
        let inherit: Vec<_> = spec.descriptors_mut().map(|raw| *raw).collect();
        let content = serde_json::to_vec(&spec)?;
        let program = spec.program.clone().unwrap_or_else(|| self.host.own_program());
        let launch = Launch {
            program: &program,
            role: "zygote",
            options: &[],
            content: &content,
            inherit: &inherit,
            nofile: spec.nofile,
        };
        let launched = launch.start()?;
        log::say(&zygotes::zygote_started(&spec.group, launched.pid));
        self.poller.add_zygote(&reports, key)?;
        let Some(group) = self.runtimes.group_mut(key) else { return Ok(()) };
        group.set_zygote(launched.pid, orders, reports, None);
        // Workers of a former zygote have seen its end; those of this one get a drain signal of their own.
        group.drain = drain;
        self.add_output(launched.output, Writer::Group { group: spec.group, pid: launched.pid.as_raw() });
        Ok(())
    }
}
