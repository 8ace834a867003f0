//! The file that a web server has written a request's body to (REQUEST_BODY_FILE). It is checked before it is used.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A body in a file.
#[derive(Debug)]
pub struct BodyFile {
    file: File,
    size: u64,
}

/// Why a file cannot be the body, and how to correct it. One line for the log.
#[derive(Debug)]
pub struct Unusable {
    name: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Missing { root: Option<PathBuf> },
    Forbidden,
    Link,
    NotAFile,
    Unnamed { announced: i64 },
    OtherSize { size: u64, announced: i64 },
    Other(io::Error),
}

impl BodyFile {
    /// Opens the file with the name that the web server uses. If the pool has a `chroot`, a path that starts with it is taken
    /// relative to it. The file's size must be the announced length, if there is one.
    ///
    /// # Errors
    /// The file cannot be the body.
    pub fn open(name: &[u8], announced: Option<i64>, root: Option<&Path>) -> Result<Self, Unusable> {
        let name = Path::new(OsStr::from_bytes(name));
        let seen = root.and_then(|root| name.strip_prefix(root).ok()).map(|rest| Path::new("/").join(rest));
        let opened = open_file(seen.as_deref().unwrap_or(name), announced);
        opened.map_err(|fault| {
            let fault = match fault {
                Fault::Missing { .. } => Fault::Missing { root: root.map(Path::to_owned) },
                other => other,
            };
            Unusable { name: name.to_owned(), fault }
        })
    }

    /// The error for a request that has a length, but neither a file nor a body.
    #[must_use]
    pub fn unnamed(announced: i64) -> Unusable {
        Unusable { name: PathBuf::new(), fault: Fault::Unnamed { announced } }
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads from that offset until the buffer is full or the file ends; returns the number of bytes.
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> usize {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        read
    }

    /// A duplicate of the descriptor, for another reader.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }
}

fn open_file(path: &Path, announced: Option<i64>) -> Result<BodyFile, Fault> {
    // A FIFO or a terminal must not block the worker. No web server creates links here; a link leads to some other file.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(fault)?;
    let about = file.metadata().map_err(Fault::Other)?;
    if !about.is_file() {
        return Err(Fault::NotAFile);
    }
    let size = about.size();
    match announced {
        Some(announced) if u64::try_from(announced) != Ok(size) => Err(Fault::OtherSize { size, announced }),
        _ => Ok(BodyFile { file, size }),
    }
}

fn fault(error: io::Error) -> Fault {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => Fault::Missing { root: None },
        Some(libc::EACCES | libc::EPERM) => Fault::Forbidden,
        Some(libc::ELOOP) => Fault::Link,
        // A socket, or a device without a driver.
        Some(libc::ENXIO | libc::ENODEV) => Fault::NotAFile,
        _ => Fault::Other(error),
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "REQUEST_BODY_FILE: '{}' ", self.name.display())?;
        match &self.fault {
            Fault::Missing { root: None } => {
                out.write_str("does not exist here: the web server must run on this machine, without a private /tmp")
            }
            Fault::Missing { root: Some(root) } => {
                write!(out, "does not exist here: let the web server write bodies to a directory in the pool's chroot {}", root.display())
            }
            Fault::Forbidden => out.write_str(
                "cannot be read by the pool's user: only nginx's user can read the bodies that it writes. Give the pool that user, or \
                 pass the bodies of this site with fastcgi_pass_request_body",
            ),
            Fault::Link => out.write_str("is a symbolic link: name the file itself"),
            Fault::NotAFile => out.write_str("is not a regular file: name the file that holds the body"),
            Fault::OtherSize { size, announced } => write!(
                out,
                "has {size} bytes, but CONTENT_LENGTH is {announced}: send the length of this body, and do not change the file"
            ),
            Fault::Unnamed { announced } => write!(
                out,
                "names no file and there is no body, but CONTENT_LENGTH is {announced}: nginx needs client_body_in_file_only"
            ),
            Fault::Other(error) => write!(out, "cannot be read: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;
    use tempfile::TempDir;

    use super::*;

    fn directory() -> TempDir {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("body"), b"0123456789").unwrap();
        directory
    }

    fn open(directory: &TempDir, name: &str, announced: Option<i64>) -> Result<BodyFile, String> {
        let path = directory.path().join(name);
        BodyFile::open(path.as_os_str().as_bytes(), announced, None).map_err(|unusable| unusable.to_string())
    }

    #[test]
    fn a_file_is_read_from_anywhere() {
        let directory = directory();
        for announced in [None, Some(10)] {
            let body = open(&directory, "body", announced).unwrap();
            assert_eq!(body.size(), 10);
            let mut buffer = [0; 8];
            assert_eq!((body.read_at(&mut buffer, 0), &buffer), (8, b"01234567"));
            assert_eq!((body.read_at(&mut buffer, 7), &buffer[..3]), (3, &b"789"[..]));
            assert_eq!(body.read_at(&mut buffer, 10), 0);
            assert!(body.descriptor().is_ok());
        }
    }

    #[test]
    fn what_is_no_body_is_refused_with_a_cure_and_without_waiting() {
        let directory = directory();
        let path = |name: &str| directory.path().join(name);
        symlink(path("body"), path("link")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        let refused = [
            ("missing", None, "does not exist here: the web server must run on this machine"),
            ("body/x", None, "does not exist here"),
            ("link", Some(10), "is a symbolic link: name the file itself"),
            ("fifo", None, "is not a regular file: name the file"),
            ("socket", None, "is not a regular file"),
            ("", None, "is not a regular file"),
            ("body", Some(11), "has 10 bytes, but CONTENT_LENGTH is 11: "),
            ("body", Some(9), "has 10 bytes, but CONTENT_LENGTH is 9: "),
            ("body", Some(-1), "CONTENT_LENGTH is -1"),
            ("bo\0dy", None, "cannot be read: "),
        ];
        for (name, announced, reason) in refused {
            let said = open(&directory, name, announced).unwrap_err();
            assert!(said.starts_with("REQUEST_BODY_FILE: '") && said.contains(reason), "{name}: {said}");
            assert!(!said.contains('\n'));
        }
        assert!(
            BodyFile::unnamed(9).to_string().ends_with("CONTENT_LENGTH is 9: nginx needs client_body_in_file_only")
        );
        let forbidden = Unusable { name: "/x".into(), fault: fault(io::Error::from_raw_os_error(libc::EACCES)) };
        assert!(forbidden.to_string().contains("Give the pool that user"));
    }

    #[test]
    fn a_path_below_the_pools_root_is_seen_from_there() {
        let directory = directory();
        let body = directory.path().join("body");
        // As if the pool's root were /jail.
        let named = Path::new("/jail").join(body.strip_prefix("/").unwrap());
        let in_jail = |name: &Path| BodyFile::open(name.as_os_str().as_bytes(), None, Some(Path::new("/jail")));
        assert!(in_jail(&named).is_ok() && in_jail(&body).is_ok());
        let said = in_jail(Path::new("/jailer/body")).unwrap_err().to_string();
        assert!(said.contains("'/jailer/body' does not exist here: ") && said.contains("chroot /jail"), "{said}");
    }
}
