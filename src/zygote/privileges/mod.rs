//! How a zygote gives up root. All that its pools need root's rights for is done before the first code of their user
//! runs, and no capability is left then: not in extensions, which may be the user's, and not in preloaded scripts.
#![forbid(unsafe_code)]

mod directories;
mod ways;

use caps::Capability;

use super::error::StartError;
use crate::config::PoolConfig;
use crate::sys::directory_changer::DirectoryChanger;
use crate::sys::ids::{self, Identity};
use crate::sys::{capabilities, limits, process};
use crate::worker::Place;
use ways::{Root, Ways};

/// Either allows to enter directories that are closed to the pool's user. Containers often have only the second.
const SEARCH: [Capability; 2] = [Capability::CAP_DAC_READ_SEARCH, Capability::CAP_DAC_OVERRIDE];

/// The privileged steps of a group, in two parts. The process is root, or has the capabilities of root that it needs,
/// permitted or effective.
#[derive(Debug)]
pub(super) struct Privileges<'a> {
    identity: &'a Identity,
    pools: &'a [&'a PoolConfig],
    /// Makes the pools' `chroot` the root directory in the second part. Between the two, extensions are loaded and
    /// opcache makes its lock file, outside of it.
    changer: Option<DirectoryChanger>,
    /// Empty: the default for each pool.
    places: Vec<Place>,
}

impl<'a> Privileges<'a> {
    /// The steps of these pools, whose user is `identity`.
    #[must_use]
    pub(super) fn new(identity: &'a Identity, pools: &'a [&'a PoolConfig]) -> Self {
        Self { identity, pools, changer: None, places: Vec::new() }
    }

    /// The first part, before extensions are loaded: raises limits and priority, enters directories, and becomes the
    /// user. Only if pools with several `chroot`s are joined by `process.group`, capabilities are kept for their
    /// workers, not effective in the zygote.
    ///
    /// # Errors
    /// PHP must not be started.
    pub(super) fn become_user(&mut self) -> Result<(), StartError> {
        capabilities::raise_kept().map_err(|source| StartError::Capabilities { pool: self.first_pool(), source })?;
        let ceilings = limits::ceilings().map_err(|source| StartError::Limits { pool: self.first_pool(), source })?;
        let ways = Ways::of(self.pools, ceilings);
        // A worker tries again what fails here, and reports it.
        let _ = limits::raise_hard(ways.files, ways.core);
        if let Some(nice) = ways.nice {
            let _ = process::set_priority(nice);
        }
        let mut keep = ways.keep.clone();
        match &ways.root {
            Root::Present => {
                directories::enter(self.pools);
                self.places = directories::places(self.pools, None);
            }
            Root::Shared(root) => {
                let directory = directories::common(self.pools);
                let changer = DirectoryChanger::fork(root, directory, self.identity);
                let changer = changer.map_err(|source| StartError::Changer { pool: self.first_pool(), source })?;
                self.changer = Some(changer);
                self.places = directories::places(self.pools, Some(root));
            }
            Root::Several => keep.extend(search()),
        }
        let name = self.pools.first().and_then(|pool| pool.user.as_deref()).unwrap_or_default();
        ids::become_identity(self.identity, name, &keep)
            .map_err(|source| StartError::Identity { pool: self.first_pool(), source })
    }

    /// The second part, before scripts are preloaded: changes the root directory.
    ///
    /// # Errors
    /// PHP must not run.
    pub(super) fn before_user_code(&mut self) -> Result<(), StartError> {
        if let Some(changer) = self.changer.take() {
            changer.change().map_err(|source| StartError::Root { pool: self.first_pool(), source })?;
            for place in &mut self.places {
                place.in_root = true;
            }
        }
        for (place, pool) in self.places.iter_mut().zip(self.pools) {
            if directories::is_within_reach(pool) {
                place.directory = None;
            }
        }
        Ok(())
    }

    /// Where the workers of each pool start, in the order of the pools; empty: at the default place.
    #[must_use]
    pub(super) fn into_places(self) -> Vec<Place> {
        self.places
    }

    fn first_pool(&self) -> String {
        self.pools.first().map_or_else(String::new, |pool| pool.name.clone())
    }
}

/// For a zygote that has become its user without the steps above: enters the pools' common directory. Returns a pool
/// whose directory the user cannot enter; that needs root.
pub(super) fn enter_as_user<'a>(pools: &[&'a PoolConfig]) -> Option<&'a PoolConfig> {
    let closed = pools.iter().copied().find(|pool| !directories::is_within_reach(pool));
    if closed.is_none() {
        directories::enter(pools);
    }
    closed
}

/// The capability of `SEARCH` that this process has.
fn search() -> Option<Capability> {
    let held = |one: &Capability| caps::has_cap(None, caps::CapSet::Permitted, *one).unwrap_or(false);
    SEARCH.into_iter().find(held)
}
