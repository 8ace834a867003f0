//! Groups that keep their configuration because the last reload could not change them, and those that cannot start; and the table of
//! all groups for `php-fpm status`.

use std::collections::{BTreeMap, BTreeSet};

use crate::ipc::{GroupRow, GroupTable, GroupTableWriter};
use crate::log::{self, messages::reload as messages};
use crate::plan::fleet::{Generation, GenerationId, Phase, ZygoteKey};
use crate::scoreboard::Counter;
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::GroupDraft;
use crate::sys::clock;

impl Supervisor {
    /// A group could not be changed or started, for this reason.
    pub(super) fn group_is_outdated(&mut self, group: &str, reason: &str) {
        self.outdated.insert(group.to_owned(), reason.to_owned());
        for id in self.serving(group) {
            // The next reload of what has changed tries it again.
            self.fleet.forget_fingerprint(id);
            self.set_outdated(id, true);
        }
    }

    /// A generation serves with the newest configuration of its group.
    pub(super) fn generation_is_current(&mut self, id: GenerationId, group: &str) {
        self.outdated.remove(group);
        self.set_outdated(id, false);
    }

    /// Forgets groups that neither serve nor are in the configuration any more.
    pub(super) fn forget_outdated(&mut self) {
        let serving = self.serving_groups().map(|group| &group.spec.group);
        let pools = self.config.pools.iter().flat_map(|pool| [Some(&pool.name), pool.process_group.as_ref()]);
        let names = serving.chain(pools.flatten()).chain(&self.config.global.process_group).cloned();
        let names: BTreeSet<String> = names.collect();
        self.outdated.retain(|group, _| names.contains(group));
    }

    /// A reload begins. Groups that are neither in its configuration nor serve have no state that is outdated.
    pub(super) fn reload_begins_with(&mut self, drafts: &[GroupDraft]) {
        let serving = self.serving_groups().map(|group| &group.spec.group);
        let names: BTreeSet<String> = serving.chain(drafts.iter().map(|draft| &draft.name)).cloned().collect();
        self.outdated.retain(|group, _| names.contains(group));
        self.kept.clear();
    }

    /// The groups that the present reload could not change, and what serves on in their place.
    pub(super) fn kept_text(&self) -> String {
        const SHOWN: usize = 5;
        let shown = self.kept.iter().take(SHOWN).map(|(group, by)| format!("group {group} ({by})"));
        let more = self.kept.len().saturating_sub(SHOWN);
        let rest = (more > 0).then(|| format!("{more} more"));
        shown.chain(rest).collect::<Vec<_>>().join(", ")
    }

    /// The end of a status line: how many groups keep what they had, and the first of them.
    pub(super) fn outdated_text(&self) -> Option<String> {
        const SHOWN: usize = 5;
        let names: Vec<&str> = self.outdated.keys().map(String::as_str).collect();
        let more = if names.len() > SHOWN { ", ..." } else { "" };
        let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        let count = names.len();
        (count > 0).then(|| format!("groups that could not change or start: {count} ({shown}{more}), see the log"))
    }

    fn serving(&self, group: &str) -> Vec<GenerationId> {
        let has = |g: &&Generation| g.groups.iter().any(|one| one.name == group);
        self.fleet.generations().iter().filter(|g| g.serves()).filter(has).map(|g| g.id).collect()
    }

    /// For the status pages of its pools.
    fn set_outdated(&self, id: GenerationId, outdated: bool) {
        let zygote = id.zygote();
        let pools = self.runtimes.group(zygote).map_or(0, |group| group.pools.len());
        for totals in (0..pools).filter_map(|pool| self.totals_of(zygote.of_pool(pool))) {
            totals.set(Counter::Outdated, u64::from(outdated));
        }
    }

    /// Writes the table of groups, for the command that has asked with this number.
    pub(super) fn tell_groups(&mut self, id: u64) {
        let table = GroupTable { answers: id, groups: self.group_rows() };
        let file = match self.group_table.take() {
            Some(file) => Ok(file),
            None => GroupTableWriter::new(),
        };
        match file.and_then(|file| file.write(&table).map(|()| file)) {
            Ok(file) => self.group_table = Some(file),
            Err(e) => log::say(&messages::groups_not_told(e)),
        }
    }

    fn group_rows(&self) -> Vec<GroupRow> {
        let mut rows: BTreeMap<&str, GroupRow> = BTreeMap::new();
        for generation in self.fleet.generations() {
            for (index, group) in generation.groups.iter().enumerate() {
                let row = rows.entry(&group.name).or_default();
                row.name.clone_from(&group.name);
                row.failure = self.outdated.get(&group.name).cloned();
                match generation.phase {
                    Phase::Draining => row.draining += 1,
                    Phase::Serving | Phase::Settling => {
                        self.fill(row, generation, ZygoteKey { generation: generation.id, group: index });
                    }
                    _ => {}
                }
            }
        }
        rows.into_values().collect()
    }

    fn fill(&self, row: &mut GroupRow, generation: &Generation, key: ZygoteKey) {
        row.generation = generation.number();
        row.since = clock::wall_seconds().saturating_sub(clock::now().since(generation.since).as_secs());
        row.workers =
            u32::try_from(generation.workers().filter(|(k, _)| k.zygote() == key).count()).unwrap_or(u32::MAX);
        let Some(group) = self.runtimes.group(key) else { return };
        let mut users: Vec<&str> = group.spec.pools.iter().filter_map(|pool| pool.config.user.as_deref()).collect();
        users.dedup();
        row.user = users.join(",");
        row.php.clone_from(&group.about.php);
        row.php_ini.clone_from(&group.about.php_ini);
        row.zygote = group.zygote.as_ref().map(|zygote| zygote.pid.as_raw());
    }
}
