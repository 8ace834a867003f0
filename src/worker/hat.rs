//! `apparmor_hat`: the profile below the present one that a worker changes to as the last step of its set-up.
#![forbid(unsafe_code)]

use super::failure::SetupFailure;
use crate::sys::apparmor::Attributes;

/// A hat that is still to be put on.
#[derive(Debug)]
pub(super) struct Hat<'a> {
    attributes: Attributes,
    name: &'a str,
}

impl<'a> Hat<'a> {
    /// Finds the way to it, before a chroot takes /proc out of sight.
    ///
    /// # Errors
    /// The present profile cannot be read, or the change is refused.
    pub(super) fn find(name: &'a str) -> Result<Self, SetupFailure> {
        Ok(Self { attributes: Attributes::open().map_err(SetupFailure::ConfinementUnknown)?, name })
    }

    /// Changes to it, for good.
    ///
    /// # Errors
    /// The present profile cannot be read, or the change is refused.
    pub(super) fn put_on(&self) -> Result<(), SetupFailure> {
        let present = self.attributes.confinement().map_err(SetupFailure::ConfinementUnknown)?;
        let wanted = format!("{present}//{}", self.name);
        self.attributes.change_profile(&wanted).map_err(|source| SetupFailure::Confinement { wanted, present, source })
    }
}
