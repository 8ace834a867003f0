//! A private directory that pools and web servers of another user can enter, with the pages in `www`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::User;
use tempfile::TempDir;

use crate::Outcome;
use crate::target::web_user;

/// The directory; removed when dropped, but kept and named with `CGI_FPM_KEEP=1`.
#[derive(Debug)]
pub struct Sandbox {
    dir: Option<TempDir>,
    path: PathBuf,
}

impl Sandbox {
    /// A new one with the pages of `tests/www`.
    ///
    /// # Errors
    /// When the directory can't be made.
    pub fn new() -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("cgi-fpm-test.").tempdir()?;
        let path = dir.path().to_owned();
        open_to_all(&path)?;
        let made = Self { dir: Some(dir), path };
        made.web_dir("sessions")?;
        made.web_dir("out")?;
        fs::create_dir(made.file("www"))?;
        for entry in fs::read_dir(pages())? {
            let entry = entry?;
            fs::copy(entry.path(), made.file("www").join(entry.file_name()))?;
        }
        Ok(made)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The script of that name in `www`.
    #[must_use]
    pub fn page(&self, name: &str) -> PathBuf {
        self.file("www").join(name)
    }

    /// Replaces a file in one step, as a deployment does.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn put(&self, name: &str, text: &str) -> Outcome {
        let next = self.file(&format!("{name}.new"));
        fs::write(&next, text)?;
        fs::rename(next, self.file(name))?;
        Ok(())
    }

    /// Replaces `fpm.conf`; `{{DIR}}` is the directory.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn configure(&self, conf: &str) -> Outcome {
        self.put("fpm.conf", &conf.replace("{{DIR}}", &self.path().display().to_string()))
    }

    /// A subdirectory that belongs to the pool's user.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn web_dir(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.file(name);
        fs::create_dir_all(&path)?;
        if let Some(user) = web_user() {
            let user = User::from_name(user)?.ok_or("no user www-data")?;
            nix::unistd::chown(&path, Some(user.uid), Some(user.gid))?;
        }
        Ok(path)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let keep = std::env::var_os("CGI_FPM_KEEP").is_some();
        if let Some(dir) = self.dir.take_if(|_| keep) {
            crate::say(&format!("kept {}", dir.keep().display()));
        }
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Outcome<u16> {
    // No other test of this process gets it, and no connection to a server: the kernel takes higher ports for these.
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(101);
    let ports = (0..20_000_u32).map(|_| 10_000 + first.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % 20_000);
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    let port = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    Ok(port.ok_or("no port is free")?)
}

/// Lets every user read and enter the directory.
fn open_to_all(path: &Path) -> Outcome {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

fn pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../www")
}
