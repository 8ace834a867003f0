//! Groups whose pools are all ondemand: they have no zygote until a connection comes, and none after a long time without any.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::plan::fleet::action::Action;
use crate::plan::fleet::keys::{GenerationId, ZygoteKey};
use crate::plan::fleet::members::{Generation, Group, Phase, Zygote};
use crate::plan::fleet::state::Fleet;
use crate::plan::fleet::view::View;
use crate::sys::clock::Moment;

/// Where memory is short, a zygote leaves after this time without workers.
const SHORT: Duration = Duration::from_secs(60);

impl Fleet {
    /// A connection waits for that group.
    pub(super) fn wake(&mut self, now: Moment, key: ZygoteKey) {
        if let Some(group) = self.group_mut(key)
            && let Zygote::Asleep(not_before) = group.zygote
        {
            group.zygote = Zygote::Due(now.max(not_before));
        }
    }

    /// The zygote keeps connections, so it stays as if it had workers.
    pub(super) fn stays_on(&mut self, now: Moment, key: ZygoteKey) {
        if let Some(group) = self.group_mut(key).filter(|g| matches!(g.zygote, Zygote::Dismissed(_))) {
            group.zygote = Zygote::Up(now);
            group.idle_since = None;
        }
    }

    /// Kept connections go from zygote to zygote: where the former generation has one, the next needs one, too.
    pub(super) fn wake_successors(&mut self, unit: usize, now: Moment) {
        let coming = &self.units[unit].coming;
        let asleep = |g: &Generation| g.groups.iter().any(|g| matches!(g.zygote, Zygote::Asleep(_)));
        if !self.those(coming).any(asleep) {
            return;
        }
        let before = self.generations.iter().filter(|g| !coming.contains(&g.id)).flat_map(|g| &g.groups);
        let awake: BTreeSet<&str> =
            before.filter(|g| g.is_awake()).flat_map(|g| g.pools.iter().map(|p| p.name.as_str())).collect();
        let wanted = |g: &&Generation| asleep(g) && g.pools().any(|p| awake.contains(p.name.as_str()));
        let woken: Vec<GenerationId> = self.those(coming).filter(wanted).map(|g| g.id).collect();
        for id in woken {
            let Some(generation) = self.generation_mut(id) else { continue };
            generation.groups.iter_mut().for_each(|group| group.zygote = Zygote::Due(now));
        }
    }

    pub(super) fn release_idle_zygotes(&mut self, now: Moment, view: &dyn View, out: &mut Vec<Action>) {
        let needed = self.successors();
        let serving = |g: &&mut Generation| g.phase == Phase::Serving && !needed.contains(&g.id);
        for generation in self.generations.iter_mut().filter(serving) {
            let id = generation.id;
            for (group, g) in generation.groups.iter_mut().enumerate() {
                let Some(since) = g.without_workers(now) else { continue };
                let idle = now.since(since);
                let limit = (!g.idle_limit.is_zero()).then_some(g.idle_limit);
                if limit.is_some_and(|l| idle >= l) || (idle >= SHORT && view.memory_is_short()) {
                    g.zygote = Zygote::Dismissed(now);
                    g.idle_since = None;
                    out.push(Action::Release(ZygoteKey { generation: id, group }));
                }
            }
        }
    }

    /// The sockets of a group whose zygote sleeps are watched, if its generation serves.
    pub(super) fn watch_sleepers(&mut self, now: Moment, out: &mut Vec<Action>) {
        let mut watch = Vec::new();
        for generation in &mut self.generations {
            let serving = generation.serves();
            for (group, g) in generation.groups.iter_mut().enumerate() {
                let key = ZygoteKey { generation: generation.id, group };
                if generation.phase == Phase::Draining && matches!(g.zygote, Zygote::Asleep(_)) {
                    g.zygote = Zygote::Gone;
                }
                let wanted = serving && matches!(g.zygote, Zygote::Asleep(at) if at <= now);
                match (g.watched, wanted) {
                    (false, true) => watch.push(Action::Watch(key)),
                    (true, false) => out.push(Action::Unwatch(key)),
                    _ => {}
                }
                g.watched = wanted;
            }
        }
        // A socket can be watched once only, so the older generation stops first.
        out.extend(watch);
    }

    /// After a reload: the new image watches no sockets yet.
    pub(crate) fn watches_were_lost(&mut self) {
        self.generations.iter_mut().flat_map(|g| &mut g.groups).for_each(|g| g.watched = false);
    }

    /// When a zygote that failed may be asked for again.
    pub(super) fn sleep_ends(&self, now: Moment) -> Option<Moment> {
        let groups = self.generations.iter().filter(|g| g.phase != Phase::Draining).flat_map(|g| &g.groups);
        let ends = groups.filter_map(|g| if let Zygote::Asleep(at) = g.zygote { Some(at) } else { None });
        ends.filter(|at| *at > now).min()
    }
}

impl Group {
    /// Since when its zygote has had no workers, where none are wanted.
    fn without_workers(&mut self, now: Moment) -> Option<Moment> {
        let idle = self.may_sleep()
            && matches!(self.zygote, Zygote::Up(_))
            && self.pools.iter().all(|p| p.is_childless() && p.target() == 0);
        self.idle_since = if idle { self.idle_since.or(Some(now)) } else { None };
        self.idle_since
    }
}
