//! How much of the output of each group is read and logged: its zygote and its workers share one budget.

use std::collections::{BTreeMap, HashMap};

use crate::plan::budget::Intake;
use crate::plan::fleet::{GenerationId, ZygoteKey};
use crate::supervisor::output::writer::Writer;

/// The budgets of all groups.
#[derive(Debug, Default)]
pub(super) struct Intakes {
    groups: BTreeMap<ZygoteKey, Intake>,
    /// The groups of each name, the latest last.
    named: HashMap<String, Vec<ZygoteKey>>,
    /// For pipes whose group is gone.
    stray: Intake,
}

impl Intakes {
    /// Adds the groups of a generation, in their order.
    pub(super) fn add<'a>(&mut self, generation: GenerationId, names: impl Iterator<Item = &'a str>) {
        for (group, name) in names.enumerate() {
            let key = ZygoteKey { generation, group };
            self.groups.insert(key, Intake::default());
            self.named.entry(name.to_owned()).or_default().push(key);
        }
    }

    /// Forgets the groups of a generation. Pipes that are left of it share one budget.
    pub(super) fn forget(&mut self, generation: GenerationId) {
        self.groups.retain(|key, _| key.generation != generation);
        self.named.retain(|_, keys| {
            keys.retain(|key| key.generation != generation);
            !keys.is_empty()
        });
    }

    /// The budget that the output of that process counts against. A zygote's is that of the latest group of its name.
    pub(super) fn of(&mut self, writer: &Writer) -> &mut Intake {
        let key = match writer {
            Writer::Worker { key, .. } => Some(key.zygote()),
            Writer::Base { .. } | Writer::Monitor { .. } => None,
            Writer::Zygote(name) | Writer::Group { group: name, .. } => {
                self.named.get(name).and_then(|keys| keys.iter().max().copied())
            }
        };
        key.and_then(|key| self.groups.get_mut(&key)).unwrap_or(&mut self.stray)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::Moment;

    const NOW: Moment = Moment::at_millis(1_000);

    fn worker(generation: GenerationId, group: usize) -> Writer {
        let key = ZygoteKey { generation, group }.worker(0, 0);
        Writer::Worker { key, pool: "www".to_owned(), pid: 7, stream: "stdout".to_owned(), decorate: true }
    }

    fn is_used_up(intakes: &mut Intakes, writer: &Writer) -> bool {
        intakes.of(writer).rests(NOW).is_some()
    }

    #[test]
    fn a_group_has_one_budget_and_pipes_of_forgotten_groups_share_another() {
        let (first, second) = (GenerationId(1), GenerationId(2));
        let mut intakes = Intakes::default();
        intakes.add(first, ["www", "shop"].into_iter());
        intakes.add(second, ["shop", "www"].into_iter());
        let zygote = Writer::Zygote("www".to_owned());
        intakes.of(&zygote).read(NOW, Intake::READ);
        assert!(is_used_up(&mut intakes, &worker(second, 1)), "that of the latest group of its name");
        assert!(!is_used_up(&mut intakes, &worker(second, 0)) && !is_used_up(&mut intakes, &worker(first, 0)));
        intakes.forget(second);
        assert!(!is_used_up(&mut intakes, &zygote), "now that of the first generation");
        intakes.of(&worker(second, 1)).read(NOW, Intake::READ);
        assert!(is_used_up(&mut intakes, &worker(second, 0)) && !is_used_up(&mut intakes, &worker(first, 0)));
    }
}
