//! The files that a PHP has read when it started, such as php.ini and extensions, and whether they are still the same. Paths may
//! lie in file systems that hang. So only zygotes look at them, and children with a time limit.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::child::in_child;
use super::file_mark::Mark;
use crate::engine::IniFiles;
use crate::sys::ids::{self, Identity};
use crate::text;

/// A path, and the mark of the file there: a hash of device, inode, size and times. It is at the same time part of a message to the
/// supervisor and of its state.
pub(crate) type MarkedFile = (String, u64);

/// There is no file.
const MISSING: u64 = 0;
/// The process may not look.
const DENIED: u64 = 1;

/// The files of a PHP that starts in this process.
#[derive(Debug, Default)]
pub(crate) struct LoadedFiles {
    /// php.ini, if there is one.
    pub php_ini: Option<String>,
    /// All that it depends on, and the program with its libraries.
    pub marked: Vec<MarkedFile>,
}

impl LoadedFiles {
    /// Marks files. Paths that are not UTF-8 are left out.
    #[must_use]
    pub(crate) fn mark(files: IniFiles) -> Self {
        let text = |path: PathBuf| path.into_os_string().into_string().ok();
        Self { php_ini: files.php_ini.and_then(text), marked: marked(files.all.into_iter().chain(mapped())) }
    }

    /// Marks the same files again, as another user: what that one may not look at keeps its mark.
    pub(crate) fn mark_again(&mut self) {
        mark_again(&mut self.marked);
    }
}

fn marked(paths: impl Iterator<Item = PathBuf>) -> Vec<MarkedFile> {
    let mut paths: Vec<String> = paths.filter_map(|path| path.into_os_string().into_string().ok()).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().map(|path| (path.clone(), mark_of(&path))).collect()
}

fn mark_again(files: &mut [MarkedFile]) {
    for (path, mark) in files {
        *mark = Some(mark_of(path)).filter(|now| *now != DENIED).unwrap_or(*mark);
    }
}

/// The program that this process executes, and the libraries that it has loaded.
fn mapped() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    // Address, rights, offset, device, inode, path.
    let paths = maps.lines().filter_map(|line| line.splitn(6, ' ').nth(5)).map(str::trim_start);
    paths.filter(|path| path.starts_with('/') && !path.ends_with(" (deleted)")).map(PathBuf::from).collect()
}

/// The first of the files that another one has replaced since it was marked. `identity` is the user of the zygote that has marked it.
/// `None`: they are the same. A path that cannot be looked at in time counts as changed.
#[must_use]
pub(crate) fn changed(files: &[MarkedFile], identity: Option<&Identity>, limit: Duration) -> Option<String> {
    let first = files.first()?;
    let said = in_child(limit, |out| {
        let become_user = || identity.is_none_or(|identity| ids::become_identity(identity, "", &[]).is_ok());
        let _ = out.write_all(first_other(files, become_user).unwrap_or_default().as_bytes());
    });
    let Some(said) = said else { return Some(first.0.clone()) };
    Some(String::from_utf8_lossy(&said).into_owned()).filter(|path| !path.is_empty())
}

/// The first file with another mark. `become_user` makes this process the zygote's user; what that one may not look at is compared as
/// the present one sees it, as in a zygote that has become that user later.
fn first_other(files: &[MarkedFile], become_user: impl FnOnce() -> bool) -> Option<String> {
    let before: Vec<u64> = files.iter().map(|(path, _)| mark_of(path)).collect();
    let is_user = become_user();
    let is_other = |&((path, then), before): &(&MarkedFile, u64)| match if is_user { mark_of(path) } else { before } {
        DENIED => *then != DENIED && *then != before,
        now => now != *then,
    };
    files.iter().zip(before).find(is_other).map(|((path, _), _)| path.clone())
}

fn mark_of(path: &str) -> u64 {
    match Mark::of(Path::new(path)) {
        Ok(mark) => text::hash(mark.bytes()).max(DENIED + 1),
        Err(e) if e.kind() == ErrorKind::NotFound => MISSING,
        Err(_) => DENIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_at_the_same_path_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let [php_ini, directory, missing] = ["php.ini", "conf.d", "none"].map(|name| place.path().join(name));
        fs::write(&php_ini, "a=1").unwrap();
        fs::create_dir(&directory).unwrap();
        let files = marked([&php_ini, &directory, &missing, &php_ini].into_iter().cloned());
        assert_eq!(files.len(), 3);
        let seen = || first_other(&files, || true).map(PathBuf::from);
        assert_eq!(seen(), None);
        fs::write(&missing, "").unwrap();
        assert_eq!(seen(), Some(missing.clone()));
        fs::remove_file(&missing).unwrap();
        fs::write(directory.join("new.ini"), "").unwrap();
        assert_eq!(seen(), Some(directory));
        let files = marked([php_ini.clone()].into_iter());
        fs::write(place.path().join("next"), "a=1").unwrap();
        fs::rename(place.path().join("next"), &php_ini).unwrap();
        assert_eq!(first_other(&files, || true).map(PathBuf::from), Some(php_ini));
    }

    #[test]
    fn the_own_program_is_among_the_mapped_files() {
        let mapped = mapped();
        assert!(mapped.contains(&fs::read_link("/proc/self/exe").unwrap()), "{mapped:?}");
        assert!(mapped.iter().all(|path| path.is_file()), "{mapped:?}");
    }
}
