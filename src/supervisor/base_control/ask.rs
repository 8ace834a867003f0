//! Requests to a base zygote for the zygote of a group.

use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::ipc::ToBase;
use crate::log::{self, messages::zygotes::zygote_not_started};
use crate::plan::base::BaseId;
use crate::plan::fleet::ZygoteKey;
use crate::supervisor::bases::{Asked, Pending};
use crate::supervisor::core::Supervisor;
use crate::supervisor::start_zygote::ZygoteParts;
use crate::sys::message::MAX_FDS;
use crate::sys::{clock, fd, shared};

/// The specification and the output of a zygote.
const OWN_FDS: usize = 2;

impl Supervisor {
    /// Lets the group's base zygote fork its zygote. False: it has none.
    pub(in crate::supervisor) fn want_from_base(&mut self, key: ZygoteKey) -> bool {
        let Some(group) = self.runtimes.group(key) else { return false };
        let Some(id) = group.base.filter(|id| self.bases.bases.contains_key(id)) else { return false };
        if group.spec.descriptor_count() + OWN_FDS > MAX_FDS {
            return false;
        }
        let Ok(pending) = Pending::new(group.slots()) else { return false };
        self.bases.pending.insert(key, pending);
        self.decide_on_base(id, |plan, steps| plan.want(clock::now(), key, steps)).is_some()
    }

    /// A zygote that was forked for the group has ended before it could serve: the group's zygotes start PHP themselves from now on.
    pub(in crate::supervisor) fn do_without_base(&mut self, key: ZygoteKey) {
        self.runtimes.leave_base(key);
        self.start_alone(key, None);
    }

    /// Sends a request. If that fails, so does the start of the zygote.
    pub(super) fn ask_base(&mut self, id: BaseId, request: u64, key: ZygoteKey) {
        if let Err(e) = self.try_ask_base(id, request, key) {
            log::say(&zygote_not_started(e));
            self.decide_on_base(id, |plan, steps| plan.answered(clock::now(), request, steps));
            self.zygote_is_gone(key);
        }
    }

    fn try_ask_base(&mut self, id: BaseId, request: u64, key: ZygoteKey) -> io::Result<()> {
        let pending = match self.bases.pending.remove(&key) {
            Some(pending) => pending,
            // After a reload.
            None => Pending::new(self.runtimes.group(key).map_or(0, |group| group.slots()))?,
        };
        let Some(ZygoteParts { mut spec, orders, reports, drain, theirs }) = self.zygote_parts(key, pending)? else {
            return Err(io::Error::other("the group has ended"));
        };
        let (output, writing) = pipe2(OFlag::O_CLOEXEC)?;
        fd::set_nonblocking(&output, true)?;
        let mut numbers = Vec::new();
        for place in spec.descriptors_mut() {
            let index = i32::try_from(numbers.len()).map_err(io::Error::other)?;
            numbers.push(std::mem::replace(place, index));
        }
        let content = shared::file_of("cgi-fpm-start", &serde_json::to_vec(&spec)?)?;
        let mut fds = vec![content, writing];
        fds.extend(duplicates(&numbers)?);
        drop(theirs);
        let user = spec.pools.first().and_then(|pool| pool.config.user.clone()).unwrap_or_default();
        let order = ToBase::Fork { request, identity: spec.identity.clone(), user };
        let Some(base) = self.bases.bases.get_mut(&id).and_then(|base| base.process.as_mut()) else {
            return Err(io::Error::other("the base zygote has ended"));
        };
        let asked = Asked { zygote: key, orders, reports, output, ticks: clock::boot_ticks() };
        base.orders.send(clock::now(), &order, fds);
        self.bases.asked.insert((id, request), asked);
        if let Some(group) = self.runtimes.group_mut(key) {
            // Workers of a former zygote have seen its end; those of this one get a drain signal of their own.
            group.drain = drain;
        }
        Ok(())
    }
}

/// Duplicates of the descriptors with these numbers.
fn duplicates(numbers: &[i32]) -> io::Result<Vec<OwnedFd>> {
    numbers.iter().map(|raw| fd::duplicate(*raw)).collect()
}
