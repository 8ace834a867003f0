//! A reload of a part: the check looks at the files that the groups' PHPs were started with, such as php.ini and extensions, and tells
//! the supervisor for which generations they are others by now. `php-fpm reload --changed` renews those, and a group whose files are
//! the same keeps its base zygote.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::configured::loaded_files;
use crate::ipc::ZygoteSpec;
use crate::log::{self, messages::reload as messages};
use crate::plan::fleet::GenerationId;
use crate::supervisor::core::Supervisor;
use crate::supervisor::reload::state::{GroupState, State};
use crate::sys::{inherited, shared};

/// All groups of a user together get this time, and all users together. A group that is not looked at in time counts as changed.
const USER_LIMIT: Duration = Duration::from_secs(1);
const ALL_LIMIT: Duration = Duration::from_secs(15);

/// Writes the generations whose files have changed, and the first such file of each.
///
/// # Errors
/// The descriptor is missing, or cannot be written.
pub(super) fn write(state: &State, answer: RawFd) -> io::Result<()> {
    let mut file = File::from(inherited::adopt(answer)?);
    file.write_all(&serde_json::to_vec(&changed(state))?)
}

impl Supervisor {
    /// The check has ended: takes note of the generations that run with other files than there are now.
    pub(super) fn note_changes(&mut self, answer: Option<OwnedFd>) {
        let changed = answer.map(read).transpose().unwrap_or_else(|e| {
            log::say(&messages::changes_not_told(e));
            let all: Vec<GenerationId> = self.fleet.generations().iter().map(|generation| generation.id).collect();
            all.into_iter().for_each(|id| self.fleet.forget_fingerprint(id));
            None
        });
        for (id, path) in changed.into_iter().flatten() {
            if self.reload.plan.scope().asks_for_changes() {
                let group = self.runtimes.group_name(id.zygote());
                log::say(&messages::file_changed(group, path));
            }
            self.fleet.forget_fingerprint(id);
        }
    }
}

/// Reads what the check has written.
fn read(answer: OwnedFd) -> io::Result<Vec<(GenerationId, String)>> {
    Ok(serde_json::from_slice(&shared::content_of(answer)?)?)
}

fn changed(state: &State) -> Vec<(GenerationId, String)> {
    let end = Instant::now() + ALL_LIMIT;
    let mut times: BTreeMap<Option<u32>, Duration> = BTreeMap::new();
    let (mut changed, mut of_bases) = (Vec::new(), BTreeMap::new());
    let groups = state.runtimes.iter().flat_map(|r| r.groups.iter().map(|group| (r.id, group)));
    let is_concerned = |spec: &ZygoteSpec| {
        let pools = spec.pools.iter().map(|pool| pool.config.name.as_str());
        state.scope.covers(&spec.group, pools, || true)
    };
    let (asleep, known): (Vec<_>, Vec<_>) =
        groups.filter(|(_, group)| is_concerned(&group.spec)).partition(|(_, group)| group.files.is_empty());
    for (id, group) in known {
        let begun = Instant::now();
        let left = times.entry(group.spec.identity.as_ref().map(|user| user.uid)).or_insert(USER_LIMIT);
        let limit = (*left).min(end.saturating_duration_since(begun));
        let path = loaded_files::changed(&group.files, group.spec.identity.as_ref(), limit);
        *left = left.saturating_sub(begun.elapsed());
        of_bases.extend(group.base.zip(path.clone()));
        changed.extend(path.map(|path| (id, path)));
    }
    // The base zygote of a group that never had a zygote has read its files for others, too. A zygote can name wrong files. So one that
    // has changed is enough.
    let path_of = |group: &GroupState| of_bases.get(&group.base?).cloned();
    changed.extend(asleep.into_iter().filter_map(|(id, group)| Some((id, path_of(group)?))));
    changed
}
