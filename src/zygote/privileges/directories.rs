//! The working directories of a group's pools. Those that the pools' user cannot reach are opened by root, and workers
//! enter them by these descriptors.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, access, chdir};

use crate::config::PoolConfig;
use crate::worker::Place;

const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// The directory that all pools start in, if it is one; else the root directory.
pub(super) fn common<'a>(pools: &[&'a PoolConfig]) -> &'a Path {
    let mut directories = pools.iter().map(|pool| pool.chdir.as_deref());
    let first = directories.next().flatten();
    let first = first.filter(|first| directories.all(|other| other == Some(first)));
    first.unwrap_or(Path::new("/"))
}

/// Enters the common directory of pools without `chroot`. If that fails, the workers report it.
pub(super) fn enter(pools: &[&PoolConfig]) {
    if pools.iter().any(|pool| pool.chdir.is_some()) {
        let _ = chdir(common(pools));
    }
}

/// Opens the directory of each pool, below that root directory if there is one.
pub(super) fn places(pools: &[&PoolConfig], root: Option<&Path>) -> Vec<Place> {
    let directory = |pool: &&PoolConfig| pool.chdir.as_deref().and_then(|directory| open_below(root, directory).ok());
    pools.iter().map(|pool| Place { in_root: false, directory: directory(pool) }).collect()
}

/// An absolute path and absolute links mean places inside of `root`.
fn open_below(root: Option<&Path>, directory: &Path) -> nix::Result<OwnedFd> {
    let Some(root) = root else { return open(directory, DIRECTORY, Mode::empty()) };
    let root = open(root, DIRECTORY, Mode::empty())?;
    let how = OpenHow::new().flags(DIRECTORY).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    openat2(&root, directory, how)
}

/// Whether this process, which is the user and has the pool's root directory, can enter the pool's directory.
pub(super) fn is_within_reach(pool: &PoolConfig) -> bool {
    pool.chdir.as_deref().is_none_or(|directory| access(directory, AccessFlags::X_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An absolute link in the root means a place inside the root.
    #[test]
    fn a_directory_is_looked_for_inside_of_the_root() -> Result<(), Box<dyn std::error::Error>> {
        let sandbox = tempfile::tempdir()?;
        let root = Some(sandbox.path());
        std::os::unix::fs::symlink("/usr", sandbox.path().join("out"))?;
        assert!(open_below(root, Path::new("/")).is_ok());
        assert!(open_below(root, Path::new("/out")).is_err());
        std::fs::create_dir(sandbox.path().join("usr"))?;
        assert!(open_below(root, Path::new("/out")).is_ok());
        Ok(())
    }
}
