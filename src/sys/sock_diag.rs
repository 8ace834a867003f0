//! The kernel's information about a unix socket of this process, by `NETLINK_SOCK_DIAG` (sock_diag(7)): its accept queue, and the
//! file that it is bound to.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use nix::sys::stat::fstat;

use super::named_file::mounts;
use super::named_file::statx::statx;

/// A netlink socket for questions.
#[derive(Debug)]
pub struct Diag {
    netlink: OwnedFd,
}

/// A question. Its answer is two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `UNIX_DIAG_VFS`: inode and device of the file that the socket is bound to.
    File,
    /// `UNIX_DIAG_RQLEN`: connections in the accept queue, and its limit.
    Queue,
}

impl Question {
    /// `UDIAG_SHOW_VFS`, `UDIAG_SHOW_RQLEN`.
    fn flag(self) -> u32 {
        match self {
            Self::File => 0x02,
            Self::Queue => 0x10,
        }
    }

    fn attribute(self) -> u16 {
        match self {
            Self::File => 1,
            Self::Queue => 4,
        }
    }
}

impl Diag {
    /// Opens the netlink socket.
    ///
    /// # Errors
    /// The kernel or a seccomp filter does not support it.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let netlink = socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkSockDiag)?;
        Ok(Self { netlink })
    }

    /// Asks about a socket. `None`: the kernel answered without this attribute.
    ///
    /// # Errors
    /// The kernel has no module for unix sockets, or it does not know this socket.
    pub fn ask(&self, unix_socket: &OwnedFd, question: Question) -> io::Result<Option<[u32; 2]>> {
        let inode = u32::try_from(fstat(unix_socket)?.st_ino).map_err(io::Error::other)?;
        send(self.netlink.as_raw_fd(), &request(inode, question), MsgFlags::empty())?;
        let mut answer = [0u8; 512];
        // The kernel has put its answer into the queue before send returns.
        let length = recv(self.netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let attributes = attributes(answer.get(..length).unwrap_or_default());
        let attributes = attributes.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        Ok(read(attributes, question.attribute()))
    }
}

/// The file that a unix socket is bound to, as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: (u32, u32),
    inode: u32,
}

impl FileId {
    /// The file of a socket of this process. `None`: it is bound to none.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn of(unix_socket: &OwnedFd) -> io::Result<Option<Self>> {
        let answer = Diag::open()?.ask(unix_socket, Question::File)?;
        // The kernel's own `dev_t`, which differs from stat's.
        Ok(answer.map(|[inode, device]| Self { device: (device >> 20, device & 0xf_ffff), inode }))
    }

    /// Whether it is this file. `None`: unknown. On an overlay file system, the kernel and stat give a file different numbers.
    #[must_use]
    pub fn is(self, file: impl AsFd) -> Option<bool> {
        let seen = statx(&file, OsStr::new("")).ok()?;
        let mount = mounts::of(&file, &seen)?;
        let same = mount.device == self.device && seen.inode & u64::from(u32::MAX) == u64::from(self.inode);
        if !same && mount.kind == "overlay" { None } else { Some(same) }
    }
}

/// Size of `struct nlmsghdr`, in bytes.
const HEADER: usize = 16;
/// Size of `struct unix_diag_msg`, in bytes.
const MESSAGE: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;

/// A netlink header and a `struct unix_diag_req` for one socket, by its inode.
fn request(inode: u32, question: Question) -> Vec<u8> {
    const LENGTH: u32 = 16 + 24;
    let mut bytes = Vec::new();
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number and port are 0: there is one question at a time.
    bytes.extend([0; 8]);
    bytes.extend([u8::try_from(libc::AF_UNIX).unwrap_or(1), 0, 0, 0]);
    let [any_state, no_cookie] = [u32::MAX, u32::MAX];
    for word in [any_state, inode, question.flag(), no_cookie, no_cookie] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}

/// The attributes after the headers of an answer. `None`: the answer is an error.
fn attributes(answer: &[u8]) -> Option<&[u8]> {
    if half(answer, 4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    answer.get(HEADER + MESSAGE..)
}

/// The words of one attribute.
fn read(mut attributes: &[u8], wanted: u16) -> Option<[u32; 2]> {
    loop {
        let length = usize::from(half(attributes, 0)?);
        if half(attributes, 2)? == wanted {
            return Some([word(attributes, 4)?, word(attributes, 8)?]);
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_socket_is_identified_by_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let [ours, other] = ["ours", "other"].map(|name| OwnedFd::from(UnixListener::bind(path(name)).unwrap()));
        let held = |name: &str| {
            let flags = nix::fcntl::OFlag::O_PATH;
            nix::fcntl::open(&path(name), flags, nix::sys::stat::Mode::empty()).unwrap()
        };
        let id = FileId::of(&ours).unwrap().unwrap();
        assert_eq!((id.is(held("ours")), id.is(held("other"))), (Some(true), Some(false)));
        assert_ne!(FileId::of(&other).unwrap().unwrap(), id);
        // The identity stays that of the file, whatever happens to its name.
        std::fs::rename(path("ours"), path("moved")).unwrap();
        assert_eq!(id.is(held("moved")), Some(true));
        std::fs::remove_file(path("moved")).unwrap();
        let _again = UnixListener::bind(path("ours")).unwrap();
        assert_eq!((FileId::of(&ours).unwrap(), id.is(held("ours"))), (Some(id), Some(false)));
    }

    #[test]
    fn a_socket_without_a_file_is_bound_to_none() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(FileId::of(&one.into()).unwrap(), None);
        assert!(FileId::of(&File::open("/dev/null").unwrap().into()).is_err());
    }

    #[test]
    fn invalid_answers_are_none() {
        for length in 0..64 {
            assert_eq!(attributes(&vec![0; length]), None);
            assert_eq!(read(&vec![0; length], 1), None);
        }
    }
}
