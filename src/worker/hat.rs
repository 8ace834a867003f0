//! `apparmor_hat`: the subprofile of the present profile that a worker changes to in its set-up.
#![forbid(unsafe_code)]

use super::failure::SetupFailure;
use crate::sys::apparmor::Attributes;

/// A hat that the worker will change to.
#[derive(Debug)]
pub(super) struct Hat<'a> {
    attributes: Attributes,
    name: &'a str,
}

impl<'a> Hat<'a> {
    /// Opens the files in /proc, before a chroot hides them.
    ///
    /// # Errors
    /// The present profile cannot be read, or the change is refused.
    pub(super) fn find(name: &'a str) -> Result<Self, SetupFailure> {
        Ok(Self { attributes: Attributes::open().map_err(SetupFailure::ConfinementUnknown)?, name })
    }

    /// Changes to the hat, permanently.
    ///
    /// # Errors
    /// The present profile cannot be read, or the change is refused.
    pub(super) fn put_on(&self) -> Result<(), SetupFailure> {
        let present = self.attributes.confinement().map_err(SetupFailure::ConfinementUnknown)?;
        let wanted = format!("{present}//{}", self.name);
        self.attributes.change_profile(&wanted).map_err(|source| SetupFailure::Confinement { wanted, present, source })
    }
}
