//! Looks whether a process that was killed can end: one that waits for the lock of a pipe cannot. The pipe is then unlocked by
//! force (`sys::peer_pipe`).

use crate::plan::fleet::{WorkerKey, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::output::Writer;

impl Supervisor {
    /// A worker was sent SIGKILL.
    pub(super) fn probe_worker(&self, key: WorkerKey) {
        self.outputs.probe(|writer| writer.has_slot(key));
        self.tracers.probe(key);
    }

    /// A zygote was sent SIGKILL.
    pub(super) fn probe_zygote(&self, key: ZygoteKey) {
        let Some(zygote) = self.runtimes.zygote(key) else { return };
        zygote.reports.probe();
        let of_zygote = |writer: &Writer| matches!(writer, Writer::Group { pid, .. } if *pid == zygote.pid.as_raw());
        self.outputs.probe(of_zygote);
    }
}
