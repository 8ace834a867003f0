//! The resources of all generations, and look-ups in them.

use std::collections::BTreeMap;
use std::rc::Rc;

use nix::unistd::Pid;

use crate::config::PoolConfig;
use crate::ipc::{PoolSpec, ZygoteSpec};
use crate::plan::fleet::{GenerationId, PoolKey, WorkerKey, ZygoteKey};
use crate::scoreboard::Scoreboard;
use crate::supervisor::generation::runtime::{GroupRuntime, Runtime, ZygoteProcess};

/// Resources by generation, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Runtimes {
    generations: BTreeMap<GenerationId, Runtime>,
    /// A base zygote may have another number of groups than at the last look.
    regrouped: bool,
}

impl FromIterator<(GenerationId, Runtime)> for Runtimes {
    fn from_iter<I: IntoIterator<Item = (GenerationId, Runtime)>>(generations: I) -> Self {
        Self { generations: generations.into_iter().collect(), regrouped: true }
    }
}

impl Runtimes {
    /// Adds a generation.
    pub(crate) fn insert(&mut self, id: GenerationId, runtime: Runtime) {
        self.generations.insert(id, runtime);
        self.regrouped = true;
    }

    /// Drops a generation's resources.
    pub(crate) fn remove(&mut self, id: GenerationId) {
        self.generations.remove(&id);
        self.regrouped = true;
    }

    /// The group's zygotes start PHP themselves from now on.
    pub(crate) fn leave_base(&mut self, key: ZygoteKey) {
        if let Some(group) = self.group_mut(key) {
            group.base = None;
        }
        self.regrouped = true;
    }

    /// Whether groups with a base zygote may have come or gone since the last call.
    pub(crate) fn take_regrouped(&mut self) -> bool {
        std::mem::take(&mut self.regrouped)
    }

    /// One generation.
    #[must_use]
    pub(crate) fn get(&self, id: GenerationId) -> Option<&Runtime> {
        self.generations.get(&id)
    }

    /// The same, to change it.
    #[must_use]
    pub(crate) fn get_mut(&mut self, id: GenerationId) -> Option<&mut Runtime> {
        self.generations.get_mut(&id)
    }

    /// All generations.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (GenerationId, &Runtime)> {
        self.generations.iter().map(|(id, runtime)| (*id, runtime))
    }

    /// The groups of all generations, the oldest first.
    pub(crate) fn groups(&self) -> impl DoubleEndedIterator<Item = &GroupRuntime> {
        self.generations.values().flat_map(|runtime| &runtime.groups)
    }

    /// The same with their keys.
    pub(crate) fn keyed(&self) -> impl Iterator<Item = (ZygoteKey, &GroupRuntime)> {
        self.generations.iter().flat_map(|(&generation, runtime)| runtime.keyed(generation))
    }

    /// The keys of all groups.
    #[must_use]
    pub(crate) fn keys(&self) -> Vec<ZygoteKey> {
        self.keyed().map(|(key, _)| key).collect()
    }

    /// A group.
    #[must_use]
    pub(crate) fn group(&self, key: ZygoteKey) -> Option<&GroupRuntime> {
        self.generations.get(&key.generation)?.groups.get(key.group)
    }

    /// The same, to change it.
    #[must_use]
    pub(crate) fn group_mut(&mut self, key: ZygoteKey) -> Option<&mut GroupRuntime> {
        self.generations.get_mut(&key.generation)?.groups.get_mut(key.group)
    }

    /// All files of a group's zygote are known by now: if another group has the same, both share the list.
    pub(crate) fn share_files(&mut self, key: ZygoteKey) {
        let Some(files) = self.group(key).map(|group| group.files.clone()) else { return };
        let same = self.groups().map(|group| &group.files).find(|other| !Rc::ptr_eq(other, &files) && **other == files);
        if let (Some(same), Some(group)) = (same.cloned(), self.group_mut(key)) {
            group.files = same;
        }
    }

    /// A group's name; empty if there is no such group.
    #[must_use]
    pub(crate) fn group_name(&self, key: ZygoteKey) -> String {
        self.group(key).map(|g| g.spec.group.clone()).unwrap_or_default()
    }

    /// A group's running zygote.
    #[must_use]
    pub(crate) fn zygote(&self, key: ZygoteKey) -> Option<&ZygoteProcess> {
        self.group(key)?.zygote.as_ref()
    }

    /// The same, to change it.
    #[must_use]
    pub(crate) fn zygote_mut(&mut self, key: ZygoteKey) -> Option<&mut ZygoteProcess> {
        self.group_mut(key)?.zygote.as_mut()
    }

    /// All running zygotes.
    pub(crate) fn zygotes(&self) -> impl Iterator<Item = &ZygoteProcess> {
        self.groups().filter_map(|group| group.zygote.as_ref())
    }

    /// The zygote with that pid.
    #[must_use]
    pub(crate) fn zygote_of(&self, pid: Pid) -> Option<ZygoteKey> {
        let is_it = |group: &GroupRuntime| group.zygote.as_ref().is_some_and(|zygote| zygote.pid == pid);
        self.keyed().find(|(_, group)| is_it(group)).map(|(key, _)| key)
    }

    /// Where a pool of a generation that drains goes on: the pool with its name in one of these generations, if that runs as the same
    /// user.
    #[must_use]
    pub(crate) fn successor_of(&self, among: &[GenerationId], spec: &ZygoteSpec, pool: &PoolSpec) -> Option<PoolKey> {
        let of = |&id: &GenerationId| self.get(id).into_iter().flat_map(move |runtime| runtime.keyed(id));
        among.iter().flat_map(of).find_map(|(key, other)| {
            let other = &other.spec;
            let index = other.pools.iter().position(|p| p.config.name == pool.config.name)?;
            (other.trust(other.pools.get(index)?) == spec.trust(pool)).then(|| key.of_pool(index))
        })
    }

    /// A pool's settings.
    #[must_use]
    pub(crate) fn pool(&self, key: PoolKey) -> Option<&PoolConfig> {
        self.group(key.zygote)?.spec.pools.get(key.pool).map(|pool| &pool.config)
    }

    /// A pool's name; empty if there is no such pool.
    #[must_use]
    pub(crate) fn pool_name(&self, key: PoolKey) -> String {
        self.pool(key).map(|pool| pool.name.clone()).unwrap_or_default()
    }

    /// The scoreboard that a worker has its slot in.
    #[must_use]
    pub(crate) fn scoreboard(&self, key: WorkerKey) -> Option<&Scoreboard> {
        self.group(key.zygote())?.pools.get(key.pool).map(|pool| &pool.scoreboard)
    }
}
