//! A zygote that was forked from a base zygote, until it is like one that has started PHP itself.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid};

use crate::configured::loaded_files::LoadedFiles;
use crate::exit::ExitCode;
use crate::ipc::{ToSupervisor, ZygoteSpec};
use crate::log::{self, messages::bases::forked_zygote_not_set_up};
use crate::sys::fd::{self, Stream};
use crate::sys::ids::{self, Identity, IdentityError};
use crate::sys::private_copy::{CopiedPages, Obstacle, PrivateCopy};
use crate::sys::{capabilities, inherited, process, shared, signal};
use crate::zygote::state::Zygote;
use crate::zygote::{self, privileges};

/// What it has from the base and the supervisor.
pub(super) struct ForkedZygote {
    /// The base's memory.
    pub(super) copy: PrivateCopy,
    /// Its specification, its output, and what the specification names.
    pub(super) fds: Vec<OwnedFd>,
    /// Who it becomes.
    pub(super) identity: Option<Identity>,
    /// The name of that user.
    pub(super) user: String,
    /// Its parent.
    pub(super) supervisor: Pid,
}

/// Why it cannot serve.
#[derive(Debug, thiserror::Error)]
enum ForkedError {
    #[error("the order has too few descriptors")]
    Descriptors,
    #[error("the supervisor is not its parent")]
    Orphan,
    #[error(transparent)]
    Memory(#[from] Obstacle),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("its specification is wrong: {0}")]
    Form(#[from] serde_json::Error),
    #[error(transparent)]
    System(#[from] io::Error),
}

impl ForkedZygote {
    /// Becomes a zygote of its group. `files`: what PHP was started with. On failure returns the exit status.
    pub(super) fn become_zygote(self, php: &str, files: &LoadedFiles) -> Result<Zygote, i32> {
        let has_identity = self.identity.is_some();
        let (spec, copied) = self.set_up().map_err(|e| {
            log::say(&forked_zygote_not_set_up(e));
            ExitCode::Software.status()
        })?;
        let tell_files = spec.tell_files;
        let mut zygote = zygote::begin(spec, php)?;
        zygote.copied = Some(copied);
        let pools: Vec<_> = zygote.pools.iter().map(|pool| &pool.spec.config).collect();
        // Without root, a zygote stays in the directory of the supervisor.
        if let Some(pool) = has_identity.then(|| privileges::enter_as_user(&pools)).flatten() {
            let reason = format!("the user of pool {} cannot enter its directory", pool.name);
            zygote.report(&ToSupervisor::NeedsOwnStart(reason));
            return Err(ExitCode::Ok.status());
        }
        if tell_files {
            zygote::tell(&mut zygote, files);
        }
        Ok(zygote)
    }

    /// The specification is read last: it is of no use to a process that has not become its user.
    fn set_up(self) -> Result<(ZygoteSpec, CopiedPages), ForkedError> {
        let mut fds = self.fds.into_iter();
        let (Some(spec), Some(output)) = (fds.next(), fds.next()) else { return Err(ForkedError::Descriptors) };
        fd::redirect(Stream::Stdout, &output)?;
        fd::redirect(Stream::Stderr, &output)?;
        drop(output);
        let copied = self.copy.share_again()?;
        if let Some(identity) = &self.identity {
            capabilities::raise_kept()?;
            ids::become_identity(identity, &self.user, &[])?;
        } else {
            // A base zygote is not, and a process that keeps its user is by default.
            process::set_dumpable(true)?;
        }
        // A change of user clears PR_SET_PDEATHSIG.
        process::die_with_parent(Signal::SIGQUIT)?;
        if getppid() != self.supervisor {
            return Err(ForkedError::Orphan);
        }
        signal::set_mask(&SigSet::empty())?;
        let spec = adopt_descriptors(serde_json::from_slice(&shared::content_of(spec)?)?, fds.collect())?;
        Ok((spec, copied))
    }
}

/// Puts the numbers that descriptors have in this process in the place of their indices.
fn adopt_descriptors(mut spec: ZygoteSpec, fds: Vec<OwnedFd>) -> Result<ZygoteSpec, ForkedError> {
    let numbers: Vec<i32> = fds.into_iter().map(inherited::disown).collect();
    for place in spec.descriptors_mut() {
        let number = usize::try_from(*place).ok().and_then(|index| numbers.get(index));
        *place = *number.ok_or(ForkedError::Descriptors)?;
    }
    Ok(spec)
}
