//! The capabilities that a zygote keeps when it gives up root. They are for the set-up of its workers: not effective
//! in the zygote, and given up in a worker before its first request.
#![forbid(unsafe_code)]

use std::path::Path;

use caps::Capability;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::resource::RLIM_INFINITY;
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access, faccessat};

use super::error::StartError;
use crate::config::{CoreLimit, PoolConfig};
use crate::sys::ids::{self, Identity};
use crate::sys::{capabilities, limits, process};

/// Either allows to enter directories that are closed to the pool's user. Containers often have only the second.
const SEARCH: [Capability; 2] = [Capability::CAP_DAC_READ_SEARCH, Capability::CAP_DAC_OVERRIDE];

/// The limits that apply without any capability.
#[derive(Debug, Clone, Copy)]
struct Given {
    nice: i32,
    most_files: u64,
    largest_core: u64,
}

impl Given {
    fn here() -> std::io::Result<Self> {
        let (most_files, largest_core) = limits::hard()?;
        Ok(Self { nice: process::priority(), most_files, largest_core })
    }
}

/// Becomes the user of these pools, and keeps the capabilities that they need.
///
/// # Errors
/// PHP must not be started.
pub(super) fn drop_to(identity: &Identity, pools: &[&PoolConfig]) -> Result<(), StartError> {
    let first = pools.first();
    let pool = || first.map_or_else(String::new, |pool| pool.name.clone());
    let given = Given::here().map_err(|source| StartError::Limits { pool: pool(), source })?;
    let mut keep = needed(given, pools.iter().map(|pool| PrivilegedSettings::from(*pool)));
    let search = search(pools);
    keep.extend(search);
    let name = first.and_then(|pool| pool.user.as_deref()).unwrap_or_default();
    ids::become_identity(identity, name, &keep).map_err(|source| StartError::Identity { pool: pool(), source })?;
    if search.is_some() && pools.iter().all(|pool| within_reach(pool)) {
        keep.retain(|one| Some(*one) != search);
        capabilities::drop_all_but(&keep.into_iter().collect())
            .map_err(|source| StartError::Capabilities { pool: pool(), source })?;
    }
    Ok(())
}

/// The settings of a pool that may need a capability.
#[derive(Debug, Clone, Copy, Default)]
struct PrivilegedSettings {
    chroot: bool,
    nice: Option<i32>,
    files: Option<u64>,
    core: Option<CoreLimit>,
}

impl From<&PoolConfig> for PrivilegedSettings {
    fn from(pool: &PoolConfig) -> Self {
        Self {
            chroot: pool.chroot.is_some(),
            nice: pool.process_priority,
            files: pool.rlimit_files,
            core: pool.rlimit_core,
        }
    }
}

fn needed(given: Given, settings: impl Iterator<Item = PrivilegedSettings> + Clone) -> Vec<Capability> {
    let above = |pool: PrivilegedSettings| {
        let core = pool.core.map(|limit| limit.bytes().unwrap_or(RLIM_INFINITY));
        pool.files.is_some_and(|files| files > given.most_files) || core.is_some_and(|core| core > given.largest_core)
    };
    let uses = [
        (Capability::CAP_SYS_CHROOT, settings.clone().any(|pool| pool.chroot)),
        // Compared with the present nice value: php-fpm may have been started with one.
        (Capability::CAP_SYS_NICE, settings.clone().any(|pool| pool.nice.is_some_and(|nice| nice < given.nice))),
        (Capability::CAP_SYS_RESOURCE, settings.clone().any(above)),
    ];
    uses.into_iter().filter(|(_, needed)| *needed).map(|(one, _)| one).collect()
}

/// The capability of `SEARCH` that this process has, if a pool has a directory to enter.
fn search(pools: &[&PoolConfig]) -> Option<Capability> {
    let enters = pools.iter().any(|pool| pool.chroot.is_some() || pool.chdir.is_some());
    let held = |one: &Capability| caps::has_cap(None, caps::CapSet::Permitted, *one).unwrap_or(false);
    if enters { SEARCH.into_iter().find(held) } else { None }
}

/// Whether the present user of this process can enter a pool's directories without a capability.
fn within_reach(pool: &PoolConfig) -> bool {
    match (&pool.chroot, &pool.chdir) {
        (Some(root), chdir) => may_enter(root, chdir.as_deref().unwrap_or(Path::new("/"))).is_ok(),
        (None, Some(chdir)) => access(chdir, AccessFlags::X_OK).is_ok(),
        (None, None) => true,
    }
}

/// Whether `directory` can be entered when `root` is the root directory, so that absolute links start there.
fn may_enter(root: &Path, directory: &Path) -> nix::Result<()> {
    access(root, AccessFlags::X_OK)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(root, flags, Mode::empty())?;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let entered = openat2(&root, directory, how)?;
    faccessat(&entered, ".", AccessFlags::X_OK, AtFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: Given = Given { nice: 0, most_files: 1024, largest_core: 0 };

    fn kept(pool: PrivilegedSettings) -> Vec<Capability> {
        needed(GIVEN, [PrivilegedSettings::default(), pool].into_iter())
    }

    #[test]
    fn nothing_is_kept_without_need() {
        let none = PrivilegedSettings::default();
        assert_eq!(kept(none), []);
        assert_eq!(kept(PrivilegedSettings { nice: Some(0), files: Some(1024), ..none }), []);
        assert_eq!(kept(PrivilegedSettings { core: Some(CoreLimit::Bytes(0)), ..none }), []);
    }

    #[test]
    fn each_setting_keeps_what_it_needs() {
        let none = PrivilegedSettings::default();
        assert_eq!(kept(PrivilegedSettings { chroot: true, ..none }), [Capability::CAP_SYS_CHROOT]);
        assert_eq!(kept(PrivilegedSettings { nice: Some(-1), ..none }), [Capability::CAP_SYS_NICE]);
        assert_eq!(kept(PrivilegedSettings { files: Some(1025), ..none }), [Capability::CAP_SYS_RESOURCE]);
        assert_eq!(
            kept(PrivilegedSettings { core: Some(CoreLimit::Bytes(1)), ..none }),
            [Capability::CAP_SYS_RESOURCE]
        );
        assert_eq!(
            kept(PrivilegedSettings { core: Some(CoreLimit::Unlimited), ..none }),
            [Capability::CAP_SYS_RESOURCE]
        );
    }

    /// An absolute link in the root means a place inside the root.
    #[test]
    fn a_directory_is_looked_for_inside_of_the_root() -> Result<(), Box<dyn std::error::Error>> {
        let sandbox = tempfile::tempdir()?;
        std::os::unix::fs::symlink("/usr", sandbox.path().join("out"))?;
        assert!(may_enter(sandbox.path(), Path::new("/")).is_ok());
        assert!(may_enter(sandbox.path(), Path::new("/out")).is_err());
        std::fs::create_dir(sandbox.path().join("usr"))?;
        assert!(may_enter(sandbox.path(), Path::new("/out")).is_ok());
        Ok(())
    }
}
