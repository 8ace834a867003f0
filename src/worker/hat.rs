//! `apparmor_hat`: the profile below the present one that a worker changes to as the last step of its set-up.
#![forbid(unsafe_code)]

use std::io;

use crate::sys::apparmor::Attributes;
use crate::sys::failure::reason;

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
    /// php-fpm's words, without the pool in front.
    pub(super) fn find(name: &'a str) -> Result<Self, String> {
        Ok(Self { attributes: Attributes::open().map_err(|e| unknown(&e))?, name })
    }

    /// Changes to it, for good.
    ///
    /// # Errors
    /// php-fpm's words, without the pool in front.
    pub(super) fn put_on(&self) -> Result<(), String> {
        let present = self.attributes.confinement().map_err(|e| unknown(&e))?;
        let wanted = format!("{present}//{}", self.name);
        self.attributes.change_profile(&wanted).map_err(|e| refused(&wanted, &present, &e))
    }
}

fn unknown(e: &io::Error) -> String {
    let advice = "Please check if \"/proc/*/attr/current\" is read and writeable.";
    format!("failed to query apparmor confinement. {advice}: {}", reason(e))
}

fn refused(wanted: &str, present: &str, e: &io::Error) -> String {
    let advice = "Please check if \"/proc/*/attr/current\" is read and writeable";
    format!(
        "failed to change to new confinement ({wanted}). {advice} and \"change_profile -> {present}//*\" is allowed.: {}",
        reason(e)
    )
}
