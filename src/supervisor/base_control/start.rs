//! Starts the process of a base zygote.

use std::io;
use std::os::fd::AsRawFd;

use crate::ipc::{BaseSpec, OrderSender, PROTOCOL, ReportReceiver};
use crate::log::{self, messages::bases as messages};
use crate::plan::base::BaseId;
use crate::supervisor::bases::{BaseProcess, NAME};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::{Launch, Launched};
use crate::supervisor::output::Writer;
use crate::sys::clock;

impl Supervisor {
    /// Starts it. If that fails, its groups start their zygotes without it.
    pub(super) fn start_base(&mut self, id: BaseId) {
        if let Err(e) = self.try_start_base(id) {
            log::say(&messages::base_not_started(e));
            self.decide_on_base(id, |plan, steps| plan.ended(clock::now(), steps));
        }
    }

    fn try_start_base(&mut self, id: BaseId) -> io::Result<()> {
        let identity = if nix::unistd::geteuid().is_root() {
            Some(self.base_identity().ok_or_else(|| io::Error::other("its user does not exist"))?)
        } else {
            None
        };
        let of_group = self.runtimes.groups().find(|group| group.base == Some(id));
        let uid = identity.as_ref().map(|identity| identity.uid);
        let group = &of_group.ok_or_else(|| io::Error::other("no group needs it"))?.spec;
        let Some(base) = self.bases.bases.get_mut(&id) else { return Ok(()) };
        let (orders, theirs) = OrderSender::pair(0)?;
        let (reports, reporting) = ReportReceiver::pair(NAME)?;
        let generation = base.generation;
        let spec = BaseSpec {
            generation,
            identity,
            user: self.config.global.base_user.clone(),
            own: group.pools.first().map(|pool| pool.config.engine.clone()).unwrap_or_default(),
            engine: group.engine.clone(),
            protocol: group.protocol,
            orders_fd: theirs.as_raw_fd(),
            reports_fd: reporting.as_raw_fd(),
            log_level: self.config.global.log_level,
            log_format: self.config.global.log_format,
        };
        let program = group.program.clone().unwrap_or_else(|| self.host.own_program());
        let launch = Launch {
            program: &program,
            role: "base",
            options: &[],
            content: &serde_json::to_vec(&spec)?,
            inherit: &[spec.orders_fd, spec.reports_fd],
            nofile: group.nofile,
        };
        let Launched { pid, output } = launch.start()?;
        log::say(&messages::base_started(generation, pid));
        let token = self.poller.add_base(&reports, id)?;
        base.process = Some(BaseProcess {
            pid,
            orders,
            reports,
            token,
            protocol: group.protocol.unwrap_or(PROTOCOL),
            reaped: false,
            known: false,
            uid,
            was_stopped: false,
        });
        self.add_output(output, Writer::Base { pid: pid.as_raw() });
        Ok(())
    }
}
