//! A reload of a part of the groups. The program stays, and so do `[global]` and the groups that are not concerned: their workers
//! keep their pids and caches.

use crate::config::{self, Config};
use crate::configured::{load_options, say};
use crate::log::{self, messages::reload as messages};
use crate::plan::fleet::{Goal, Phase, Scope};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::{GroupDraft, GroupRuntime, StartError, drafts};

impl Supervisor {
    /// The check of a reload has succeeded. Everything is reloaded by a new image; so is what has changed, if the program or
    /// `[global]` is among that.
    pub(super) fn put_into_effect(&mut self) {
        let scope = self.reload.plan.scope().clone();
        if scope == Scope::All || (scope.asks_for_changes() && self.is_program_replaced()) {
            return self.execute();
        }
        if self.fleet.goal() != Goal::Serve {
            return;
        }
        let load = load_options(&self.host, &self.options);
        let read = match config::load(&self.options.config_path(&self.host.config_file()), &load) {
            Ok(loaded) => loaded.config,
            Err(e) => {
                say(&e.messages);
                return self.refuse_reload(&messages::next_generation_failed(StartError::Configuration), None);
            }
        };
        let other_global = read.global != self.config.global;
        if other_global && scope.asks_for_changes() {
            return self.execute();
        }
        self.say_what_waits(&scope, other_global, &drafts(&read, &load));
        let next = Config { global: self.config.global.clone(), ..read };
        let before = std::mem::replace(&mut self.config, next);
        if let Err(e) = self.begin_groups(&load, &scope) {
            self.config = before;
            self.refuse_reload(&messages::next_generation_failed(e), None);
        }
    }

    /// Says what is different in the configuration, but not reloaded.
    fn say_what_waits(&mut self, scope: &Scope, other_global: bool, drafts: &[GroupDraft]) {
        let mut waiting: Vec<String> = other_global.then(|| "[global]".to_owned()).into_iter().collect();
        let names = |draft: &GroupDraft| draft.pools.iter().map(|pool| pool.name.clone()).collect::<Vec<_>>();
        let covers = |group: &str, pools: &[String]| scope.covers(group, pools.iter().map(String::as_str), || true);
        for draft in drafts.iter().filter(|draft| !covers(&draft.name, &names(draft))) {
            let running =
                |name: &str| self.serving_groups().flat_map(GroupRuntime::pools).find(|(p, _)| p.config.name == name);
            let other = draft.pools.iter().filter(|p| running(&p.name).is_none_or(|(now, _)| now.config != **p));
            waiting.extend(other.filter(|pool| pool.status_of.is_none()).map(|pool| pool.name.clone()));
        }
        for group in self.serving_groups() {
            let pools: Vec<String> = group.spec.pools.iter().map(|pool| pool.config.name.clone()).collect();
            let stays = |name: &String| drafts.iter().any(|draft| draft.pools.iter().any(|pool| pool.name == *name));
            if !covers(&group.spec.group, &pools) {
                waiting.extend(pools.into_iter().filter(|name| !stays(name)));
            }
        }
        if !waiting.is_empty() {
            let message = messages::differences_wait(waiting.join(", "));
            log::say(&message);
            self.results.remark(message.text());
        }
    }

    /// The groups that serve, without those that drain or have yet to start.
    pub(in crate::supervisor) fn serving_groups(&self) -> impl Iterator<Item = &GroupRuntime> {
        let serves = |phase| matches!(phase, Phase::Serving | Phase::Settling);
        let generations = self.fleet.generations().iter().filter(move |g| serves(g.phase));
        generations.filter_map(|g| self.runtimes.get(g.id)).flat_map(|runtime| &runtime.groups)
    }
}
