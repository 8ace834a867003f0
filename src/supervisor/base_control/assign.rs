//! Which groups have a base zygote: those whose zygotes need nothing of root's but a change of user.

use crate::config::{EngineKey, PoolConfig};
use crate::log::{self, messages::bases as messages};
use crate::plan::base::{BaseId, is_worth_it};
use crate::plan::fleet::{PoolState, Scope};
use crate::plan::privileged::Privileged;
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::GroupDraft;
use crate::sys::ids::Identity;
use crate::sys::limits::{self, Ceilings};

/// Most supplementary groups of a user, so that an order fits into a message.
const MOST_GROUPS: usize = 1024;

impl Supervisor {
    /// Chooses a base zygote for each of these groups that can have one: if `scope` is a part of the groups, that of the generation before,
    /// as long as PHP would start with the same files; otherwise a new one, if there are enough groups that start PHP in the same way.
    pub(in crate::supervisor) fn assign_bases<'a>(
        &mut self,
        drafts: impl Iterator<Item = &'a mut GroupDraft>,
        generation: u32,
        scope: &Scope,
    ) {
        let root = nix::unistd::geteuid().is_root();
        let Ok(ceilings) = limits::ceilings() else { return };
        let use_of_base = self.config.global.base;
        let mut rest: Vec<&mut GroupDraft> = drafts.filter(|draft| can_have_base(draft, root, ceilings)).collect();
        if *scope != Scope::All {
            rest.retain_mut(|draft| {
                draft.base = self.unchanged_base(draft, scope);
                draft.base.is_none()
            });
        }
        if !is_worth_it(use_of_base, rest.len()) || !self.base_user_exists(root) {
            return;
        }
        while let Some(first) = rest.first() {
            let engine = engine_of(first).cloned();
            let (same, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|draft| engine_of(draft) == engine.as_ref());
            rest = others;
            if is_worth_it(use_of_base, same.len()) {
                let id = self.bases.add(generation);
                same.into_iter().for_each(|draft| draft.base = Some(id));
            }
        }
    }

    /// The base zygote of the generation that serves a group's pools, if it can fork another zygote for the group. The check of the
    /// reload has looked at the files of the groups in `scope`, as far as their zygotes have named them, and has forgotten the
    /// fingerprint of a generation whose files have changed.
    fn unchanged_base(&self, draft: &GroupDraft, scope: &Scope) -> Option<BaseId> {
        let has_pool = |pool: &PoolState| draft.pools.iter().any(|one| one.name == pool.name);
        let group =
            self.fleet.generations().iter().filter(|generation| generation.serves()).find_map(|generation| {
                let at = generation.groups.iter().position(|group| group.pools.iter().any(has_pool))?;
                let known = generation.groups.get(at).is_some_and(|group| group.fingerprint != 0);
                self.runtimes.get(generation.id)?.groups.get(at).filter(|_| known)
            })?;
        let names = group.spec.pools.iter().map(|pool| pool.config.name.as_str());
        if group.files.is_empty() || !scope.covers(&group.spec.group, names, || true) {
            return None;
        }
        let before = group.spec.pools.first().map(|pool| &pool.config.engine);
        let lives = |id: &BaseId| {
            self.bases.bases.get(id).is_some_and(|base| base.process.is_some() && !base.plan.is_useless())
        };
        group.base.filter(lives).filter(|_| before == engine_of(draft))
    }

    fn base_user_exists(&self, root: bool) -> bool {
        let user = &self.config.global.base_user;
        let exists = !root || self.base_identity().is_some();
        if !exists {
            log::say(&messages::base_user_unknown(user));
        }
        exists
    }

    /// The user of base zygotes; `None`: there is none, or it is root.
    pub(super) fn base_identity(&self) -> Option<Identity> {
        let account = crate::config::account_named(&self.config.global.base_user)?;
        crate::configured::identity_of(&account).ok().flatten().filter(|identity| identity.uid != 0)
    }
}

/// How the group starts PHP. Its pools do not differ in that.
fn engine_of(draft: &GroupDraft) -> Option<&EngineKey> {
    draft.pools.first().map(|pool| &pool.engine)
}

/// Whether a zygote of that group can be forked from a base zygote.
fn can_have_base(draft: &GroupDraft, root: bool, ceilings: Ceilings) -> bool {
    let needs_only_its_user =
        |pool: &PoolConfig| pool.chroot.is_none() && Privileged::of(pool, ceilings) == Privileged::default();
    let own = match &draft.identity {
        Some(identity) => root && identity.uid != 0 && identity.groups.len() <= MOST_GROUPS,
        // Without root, all processes have one user. With it, the zygote of several users stays root.
        None => !root,
    };
    own && draft.pools.iter().all(needs_only_its_user)
}
