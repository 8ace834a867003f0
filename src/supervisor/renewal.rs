//! Renewal of a group: its new generation has the specification of the present one, and shares its sockets, counters and access logs.

use std::time::Duration;

use crate::log::{self, messages::zygotes};
use crate::plan::crashes::Emergency;
use crate::plan::events::{Happening, Owner};
use crate::plan::fleet::{Failure, GenerationId, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::StartError;

impl Supervisor {
    /// Gives a generation what it needs, if it renews another one. Only such generations have no place in the configuration.
    ///
    /// # Errors
    /// The system refuses memory or descriptors; nothing has changed.
    pub(super) fn prepare_renewal(&mut self, id: GenerationId) -> Result<(), StartError> {
        let old = self.fleet.renewed_by(id.zygote());
        let Some((old, group)) = old.and_then(|old| Some((old, self.runtimes.group(old)?))) else { return Ok(()) };
        let group = group.renewed()?;
        self.sockets.share(old.generation, id);
        self.reopen_later(id.zygote(), &group);
        self.add_group(id, group);
        Ok(())
    }

    /// Logs that a group gets new shared memory, because too many of its workers have crashed.
    pub(super) fn say_emergency(&self, key: ZygoteKey, Emergency { threshold, interval }: Emergency) {
        log::say(&zygotes::group_restarts(threshold, interval.as_secs(), self.runtimes.group_name(key)));
    }

    /// Logs that a renewal begins only after that time.
    pub(super) fn say_renewal_waits(&self, key: ZygoteKey, time: Duration) {
        log::say(&zygotes::renewal_waits(self.runtimes.group_name(key), time.as_secs().max(1)));
    }

    /// A generation serves in place of the one that it renews.
    pub(super) fn generation_renewed(&mut self, id: GenerationId) {
        self.sockets.serve(id);
        self.reasons.remove(&id);
        let group = self.group_of(id).to_string();
        log::say(&zygotes::group_renewed(&group));
        self.note_event(Owner::Group(&group), Happening::Renewed(group.clone()), 1);
        self.release_later(id);
    }

    /// It could not start.
    pub(super) fn renewal_failed(&mut self, id: GenerationId, failure: Failure) {
        let reason = self.reason(id, failure);
        self.note_failed_renewal(id, &reason);
        let group = self.group_of(id).to_string();
        let message = zygotes::renewal_failed(&group, reason);
        log::say(&message);
        self.note_event(Owner::Group(&group), Happening::NotRenewed(Happening::cut(message.text())), 1);
        self.release_later(id);
    }
}
