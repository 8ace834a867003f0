//! How much of the output of each group is read and logged: its zygote and its workers share one budget.

use std::collections::BTreeMap;

use crate::plan::budget::Intake;
use crate::plan::fleet::{GenerationId, ZygoteKey};
use crate::supervisor::output::writer::Writer;

/// The budgets of all groups.
#[derive(Debug, Default)]
pub(super) struct Intakes {
    groups: BTreeMap<ZygoteKey, Group>,
    /// For pipes whose group is gone.
    stray: Intake,
}

#[derive(Debug)]
struct Group {
    name: String,
    intake: Intake,
}

impl Intakes {
    /// Adds the groups of a generation, in their order.
    pub(super) fn add<'a>(&mut self, generation: GenerationId, names: impl Iterator<Item = &'a str>) {
        for (group, name) in names.enumerate() {
            let budget = Group { name: name.to_owned(), intake: Intake::default() };
            self.groups.insert(ZygoteKey { generation, group }, budget);
        }
    }

    /// Forgets the groups of a generation. Pipes that are left of it share one budget.
    pub(super) fn forget(&mut self, generation: GenerationId) {
        self.groups.retain(|key, _| key.generation != generation);
    }

    /// The budget that the output of that process counts against. A zygote's is that of the latest group of its name.
    pub(super) fn of(&mut self, writer: &Writer) -> &mut Intake {
        let group = match writer {
            Writer::Worker { key, .. } => self.groups.get_mut(&key.zygote()),
            Writer::Zygote(name) | Writer::Group { group: name, .. } => {
                self.groups.values_mut().rev().find(|group| group.name == *name)
            }
        };
        group.map_or(&mut self.stray, |group| &mut group.intake)
    }
}
