//! AppArmor through its files in `/proc`, as libapparmor does it: the profile that confines this process, and a change of it.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

/// The longest label that is read; the kernel's are at most a page.
const LONGEST: u64 = 64 * 1024;

/// The directory of this process in `/proc`. Open it before a chroot, in which `/proc` may be missing.
#[derive(Debug)]
pub struct Attributes(OwnedFd);

impl Attributes {
    /// Opens it.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn open() -> io::Result<Self> {
        Self::in_directory(Path::new("/proc/self"))
    }

    fn in_directory(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    /// The name of the profile that confines this process, or `unconfined`.
    ///
    /// # Errors
    /// `EINVAL`: AppArmor is not active.
    pub fn confinement(&self) -> io::Result<String> {
        let mut text = String::new();
        self.current(OFlag::O_RDONLY)?.take(LONGEST).read_to_string(&mut text)?;
        Ok(profile(&text).to_owned())
    }

    /// Changes to another profile, with no way back (aa_change_profile(2)).
    ///
    /// # Errors
    /// `EACCES`: the current profile does not allow it. `ENOENT`: there is no such profile.
    pub fn change_profile(&self, name: &str) -> io::Result<()> {
        self.current(OFlag::O_WRONLY)?.write_all(format!("changeprofile {name}").as_bytes())
    }

    /// Where several security modules are active, AppArmor has a file of its own beside the shared `attr/current`.
    fn current(&self, access: OFlag) -> io::Result<File> {
        let at = |path| openat(self.0.as_fd(), path, access | OFlag::O_CLOEXEC, Mode::empty());
        let opened = match at("attr/apparmor/current") {
            Err(Errno::ENOENT) => at("attr/current"),
            other => other,
        };
        Ok(File::from(opened?))
    }
}

/// A label without its mode: `/usr/sbin/php-fpm` of `/usr/sbin/php-fpm (enforce)`.
fn profile(text: &str) -> &str {
    let text = text.trim_end_matches(['\n', '\0']);
    match text.rsplit_once(" (") {
        Some((name, mode)) if mode.ends_with(')') => name,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_told_from_its_mode() {
        for (text, name) in [
            ("unconfined\n", "unconfined"),
            ("/usr/sbin/php-fpm (enforce)\n", "/usr/sbin/php-fpm"),
            ("php (web) (complain)", "php (web)"),
            ("php-fpm//www (enforce)\0", "php-fpm//www"),
        ] {
            assert_eq!(profile(text), name, "{text:?}");
        }
    }

    /// The kernel takes a change as one write. A plain file in its place shows what is written, and to which file.
    #[test]
    fn a_change_goes_to_its_own_file_where_there_is_one() -> Result<(), Box<dyn std::error::Error>> {
        let sandbox = tempfile::tempdir()?;
        let shared = sandbox.path().join("attr/current");
        let own = sandbox.path().join("attr/apparmor/current");
        std::fs::create_dir_all(sandbox.path().join("attr"))?;
        std::fs::write(&shared, "php-fpm (enforce)\n")?;
        let attributes = Attributes::in_directory(sandbox.path())?;
        assert_eq!(attributes.confinement()?, "php-fpm");
        attributes.change_profile("php-fpm//www")?;
        assert_eq!(std::fs::read_to_string(&shared)?, "changeprofile php-fpm//www");

        std::fs::create_dir(sandbox.path().join("attr/apparmor"))?;
        std::fs::write(&own, "unconfined\n")?;
        assert_eq!(attributes.confinement()?, "unconfined");
        attributes.change_profile("unconfined//a")?;
        assert_eq!(std::fs::read_to_string(&own)?, "changeprofile unconfined//a");
        assert_eq!(std::fs::read_to_string(&shared)?, "changeprofile php-fpm//www");
        Ok(())
    }
}
