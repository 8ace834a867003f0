//! A reload of a part of the groups. The program stays, and so do `[global]` and the groups that are not concerned: their workers
//! keep their pids and caches.

use crate::config::{self, Config};
use crate::configured::{load_options, say};
use crate::log::{self, messages::reload as messages};
use crate::plan::fleet::{GenerationId, Goal, Scope};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::{GroupDraft, GroupRuntime, Runtime, StartError, drafts};

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
        let drafts = (!scope.asks_for_changes()).then(|| drafts(&read, &load));
        let next = Config { global: self.config.global.clone(), ..read };
        let before = std::mem::replace(&mut self.config, next);
        if let Err(e) = self.begin_groups(&load, &scope) {
            self.config = before;
            return self.refuse_reload(&messages::next_generation_failed(e), None);
        }
        if let Some(drafts) = drafts {
            self.say_what_waits(other_global, &drafts);
        }
    }

    /// Says what is different in the configuration, but not reloaded: neither named, nor reloaded with what is named.
    fn say_what_waits(&mut self, other_global: bool, drafts: &[GroupDraft]) {
        let mut waiting: Vec<String> = other_global.then(|| "[global]".to_owned()).into_iter().collect();
        for draft in drafts.iter().filter(|draft| !self.fleet.is_renewed(&draft.name)) {
            let running =
                |name: &str| self.serving_groups().flat_map(GroupRuntime::pools).find(|(p, _)| p.config.name == name);
            let other = draft.pools.iter().filter(|p| running(&p.name).is_none_or(|(now, _)| now.config != **p));
            waiting.extend(other.filter(|pool| pool.status_of.is_none()).map(|pool| pool.name.clone()));
        }
        let stays = |name: &String| drafts.iter().any(|draft| draft.pools.iter().any(|pool| pool.name == *name));
        for (_, runtime) in self.serving_generations().filter(|(id, _)| !self.fleet.is_retired(*id)) {
            let pools = runtime.groups.iter().flat_map(GroupRuntime::pools).map(|(pool, _)| pool.config.name.clone());
            waiting.extend(pools.filter(|name| !stays(name)));
        }
        if !waiting.is_empty() {
            let message = messages::differences_wait(waiting.join(", "));
            log::say(&message);
            self.results.remark(message.text());
        }
    }

    /// The groups that serve, without those that drain or have yet to start.
    pub(in crate::supervisor) fn serving_groups(&self) -> impl Iterator<Item = &GroupRuntime> {
        self.serving_generations().flat_map(|(_, runtime)| &runtime.groups)
    }

    fn serving_generations(&self) -> impl Iterator<Item = (GenerationId, &Runtime)> {
        let generations = self.fleet.generations().iter().filter(|g| g.serves());
        generations.filter_map(|g| Some((g.id, self.runtimes.get(g.id)?)))
    }
}
