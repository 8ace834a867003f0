//! From the running supervisor to the state that the next image reads.

use std::os::fd::{AsFd, AsRawFd};

use crate::log::Backlog;
use crate::supervisor::control_socket::ControlState;
use crate::supervisor::core::Supervisor;
use crate::supervisor::monitor::MonitorState;
use crate::supervisor::reload::state::{GroupState, RuntimeState, State, VERSION};
use crate::sys::aside;

impl Supervisor {
    /// The present state, by descriptor numbers of this process.
    pub(in crate::supervisor) fn state(&self) -> State {
        let runtimes = self.runtimes.iter().map(|(id, runtime)| RuntimeState {
            id,
            drain: None,
            groups: runtime
                .groups
                .iter()
                .map(|g| GroupState {
                    spec: g.spec.clone(),
                    drain: Some(g.drain.state()),
                    zygote: g.zygote.as_ref().map(|z| (z.pid.as_raw(), z.orders.as_fd().as_raw_fd())),
                    voice: g.zygote.as_ref().map(|z| (z.reports.as_fd().as_raw_fd(), z.protocol)),
                    files: g.files.to_vec(),
                    about: g.about.clone(),
                    base: g.base,
                    unproved: g.zygote.as_ref().is_some_and(|zygote| zygote.unproved),
                    boards: g.pools.iter().map(|pool| pool.scoreboard_fd.as_raw_fd()).collect(),
                })
                .collect(),
        });
        State {
            version: VERSION,
            program: self.host.program.clone(),
            nofile: self.nofile,
            sockets: self.sockets.state(),
            ownership: Some(self.sockets.ownership()),
            passed: self.sockets.passed(),
            systemd: self.systemd.state(),
            config: self.config.clone(),
            totals: self.totals.descriptors(),
            unpublished: self.totals.unpublished(),
            reopened: self.reopened,
            fleet: self.fleet.with_resources(),
            runtimes: runtimes.collect(),
            outputs: self.outputs.state(),
            tracers: Vec::new(),
            unclosed: aside::kept(),
            traces: self.tracers.state(),
            bases: self.bases.state(),
            log: None,
            unwritten: Backlog::default(),
            board: Some(self.results.number()),
            requests: Some(self.requests.number()),
            scope: self.reload.plan.scope().clone(),
            outdated: self.outdated.clone(),
            monitor: MonitorState::of(&self.monitor),
            monitors_ending: self.monitor.ending(),
            events: self.events.clone(),
            control: ControlState::of(&self.control),
            service: Some(self.service.as_fd().as_raw_fd()),
            answer: None,
        }
    }
}
