//! Tells the scoreboard how far a request has come.
#![forbid(unsafe_code)]

use std::rc::Rc;

use super::exchange::{Progress, Stage};
use crate::fastcgi::params::Params;
use crate::scoreboard::Slot;

/// Over the worker's own slot.
pub(super) struct SlotProgress {
    slot: Rc<Slot>,
}

impl SlotProgress {
    pub(super) fn new(slot: Rc<Slot>) -> Self {
        Self { slot }
    }
}

impl Progress for SlotProgress {
    fn stage(&self, stage: Stage) {
        match stage {
            Stage::Reading => self.slot.begin(),
            other => self.slot.stage(other),
        }
    }

    fn started(&self, _params: &Params) {}

    fn running(&self, _script: &[u8], _params: &Params) {
        self.slot.stage(Stage::Running);
    }
}
