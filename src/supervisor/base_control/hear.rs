//! Reports of base zygotes. A base zygote has run extensions, so it is trusted as far as the kernel confirms what it says: the pid that
//! it names must be a new child of ours, and that process must have become its user before it counts as ready.

use nix::unistd::{Pid, getegid, geteuid, getpid};

use crate::ipc::{FromBase, Received};
use crate::log::{self, messages::bases as messages, messages::zygotes};
use crate::plan::base::{Answered, BaseId};
use crate::plan::fleet::ZygoteKey;
use crate::supervisor::bases::Asked;
use crate::supervisor::core::Supervisor;
use crate::supervisor::output::Writer;
use crate::sys::ids::{Identity, own_groups};
use crate::sys::proc_stat::{self, Credentials};
use crate::sys::{clock, failure, process_limits};

/// Most reports that are read before other sources get their turn.
const TURN: usize = 64;

impl Supervisor {
    /// Reads the reports of all base zygotes, so that a process that they have forked is known before it is reaped.
    pub(in crate::supervisor) fn hear_bases(&mut self) {
        for id in self.bases.bases.keys().copied().collect::<Vec<_>>() {
            self.hear_base(id);
        }
    }

    /// Reads reports of a base zygote.
    pub(in crate::supervisor) fn hear_base(&mut self, id: BaseId) {
        for _ in 0..TURN {
            let Some(process) = self.bases.get_mut(id).and_then(|base| base.process.as_mut()) else { return };
            match process.reports.receive() {
                Received::Message(FromBase::Hello { protocol }) if !process.known => {
                    process.known = true;
                    let agreed = process.protocol;
                    if protocol != agreed {
                        return self.refuse_base(id, &format!("speaks protocol {protocol} in place of {agreed}"));
                    }
                }
                Received::Message(message) if process.known => self.base_says(id, message),
                Received::Message(_) => return self.refuse_base(id, "has not said which protocol it speaks"),
                Received::Nothing | Received::Locked => return,
                Received::Gone => {
                    self.poller.remove(&process.reports, process.token);
                    return self.kill_base(id);
                }
            }
        }
    }

    fn base_says(&mut self, id: BaseId, message: FromBase) {
        let now = clock::now();
        match message {
            FromBase::Hello { .. } => self.refuse_base(id, "says again which protocol it speaks"),
            FromBase::Fit { bytes } => {
                let pid = self.bases.pid(id);
                log::say(&messages::base_ready(pid, bytes / 1024));
                // The limit is the base user's, and each zygote counts for that user at first. Workers get theirs back.
                if geteuid().is_root() {
                    let _ = process_limits::remove_limit_of(Pid::from_raw(pid));
                }
                if self.decide_on_base(id, |plan, steps| plan.fit(now, steps)) == Some(false) {
                    self.refuse_base(id, "says again that it is ready");
                }
            }
            FromBase::Unfit(reason) => {
                log::say(&messages::base_unfit(crate::escape::line(reason.as_bytes())));
                self.decide_on_base(id, |plan, steps| plan.unfit(steps));
            }
            FromBase::Forked { request, pid } => {
                let asked = self.bases.asked.remove(&(id, request));
                match self.decide_on_base(id, |plan, steps| plan.answered(now, request, steps)) {
                    Some(Answered::Wanted(key)) => self.zygote_forked(id, key, asked, Pid::from_raw(pid)),
                    // It exits, since its way of orders has ended.
                    Some(Answered::Unwanted) | None => {}
                    Some(Answered::Unasked) => self.refuse_base(id, "names a process that it was not asked for"),
                }
            }
            FromBase::ForkFailed { request, errno } => {
                self.bases.asked.remove(&(id, request));
                let answered = self.decide_on_base(id, |plan, steps| plan.answered(now, request, steps));
                if let Some(Answered::Wanted(key)) = answered {
                    let reason = failure::reason(&std::io::Error::from_raw_os_error(errno));
                    log::say(&messages::base_fork_failed(self.runtimes.group_name(key), reason, errno));
                    self.start_alone(key, None);
                }
            }
        }
        self.handle_pending();
    }

    fn zygote_forked(&mut self, id: BaseId, key: ZygoteKey, asked: Option<Asked>, pid: Pid) {
        let (Some(asked), Some(_)) = (asked, self.runtimes.group(key)) else { return self.zygote_is_gone(key) };
        let Some(origin) = proc_stat::origin(pid) else { return self.zygote_is_gone(key) };
        let is_worker = || self.fleet.workers().any(|(_, worker)| worker.pid == Some(pid.as_raw()));
        let is_new = origin.born >= asked.ticks && !self.has_role(pid) && !is_worker();
        let is_new_child = is_new && origin.parent == getpid();
        if !is_new_child || !self.is_on_its_way(id, key, pid) {
            self.zygote_is_gone(key);
            return self.refuse_base(id, &format!("names process {pid} as a new zygote, which is no new child"));
        }
        if let Err(e) = self.poller.add_zygote(&asked.reports, key) {
            log::say(&zygotes::zygote_not_started(e));
            return self.zygote_is_gone(key);
        }
        let Some(group) = self.runtimes.group_mut(key) else { return };
        let name = group.spec.group.clone();
        group.set_zygote(pid, asked.orders, asked.reports, None);
        if let Some(zygote) = &mut group.zygote {
            zygote.unproved = true;
        }
        log::say(&zygotes::zygote_started(&name, pid));
        self.add_output(asked.output, Writer::Group { group: name, pid: pid.as_raw() });
    }

    /// Whether a process has the user of the base zygote, or that of the group already. Others of the supervisor's children do not:
    /// those that read pipes, and processes that scripts of other users have left.
    fn is_on_its_way(&self, id: BaseId, key: ZygoteKey, pid: Pid) -> bool {
        let own = geteuid().as_raw();
        let of_base = self.bases.bases.get(&id).and_then(|base| base.process.as_ref()?.uid).unwrap_or(own);
        let of_group = self.runtimes.group(key).and_then(|group| group.spec.identity.as_ref());
        let of_group = of_group.map_or(own, |identity| identity.uid);
        proc_stat::user_of(pid).is_some_and(|user| user == of_base || user == of_group)
    }

    /// Whether a zygote may serve. One that was forked from a base zygote must have become its user, without capabilities.
    pub(in crate::supervisor) fn has_become_its_user(&mut self, key: ZygoteKey) -> bool {
        let Some(group) = self.runtimes.group_mut(key) else { return false };
        let Some(zygote) = group.zygote.as_mut().filter(|zygote| zygote.unproved) else { return true };
        let found = proc_stat::credentials(zygote.pid);
        zygote.unproved = found.is_none() || found != wanted(group.spec.identity.as_ref());
        !zygote.unproved
    }

    /// A zygote says that it is ready, and has not become its user: it must not serve.
    pub(in crate::supervisor) fn refuse_unproved(&mut self, key: ZygoteKey) {
        let pid = self.runtimes.zygote(key).map_or(0, |zygote| zygote.pid.as_raw());
        log::say(&zygotes::zygote_refused(self.runtimes.group_name(key), pid, "has not become its user"));
        self.give_up_on(key);
    }

    /// It has said what is not true or not agreed.
    fn refuse_base(&mut self, id: BaseId, what: &str) {
        log::say(&messages::base_refused(self.bases.pid(id), what));
        self.decide_on_base(id, |plan, steps| plan.give_up(steps));
        self.handle_pending();
    }
}

/// The credentials of a zygote with that identity; without one, those of the supervisor.
fn wanted(identity: Option<&Identity>) -> Option<Credentials> {
    let (uid, gid, mut groups) = match identity {
        Some(identity) => (identity.uid, identity.gid, identity.groups.clone()),
        None => (geteuid().as_raw(), getegid().as_raw(), own_groups().ok()?),
    };
    groups.sort_unstable();
    groups.dedup();
    Some(Credentials { uids: [uid; 4], gids: [gid; 4], groups, capable: false })
}
