//! A substitute for systemd: the socket on which it receives messages, and its store of descriptors.

use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use cgi_fpm::sys::message::{Received, receive};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use testkit::clock::{bar, ms};
use testkit::sandbox::Sandbox;
use testkit::{Outcome, ensure};

/// The receiving end of NOTIFY_SOCKET.
pub(super) struct Manager {
    socket: UnixDatagram,
    /// The value of NOTIFY_SOCKET.
    pub address: String,
    /// Stored sockets with their names.
    pub store: Vec<(String, OwnedFd)>,
}

impl Manager {
    pub(super) fn at_path(sandbox: &Sandbox) -> Outcome<Self> {
        let path = sandbox.file("notify");
        let socket = UnixDatagram::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
        Ok(Self { socket, address: path.to_string_lossy().into_owned(), store: Vec::new() })
    }

    pub(super) fn abstract_one(sandbox: &Sandbox) -> Outcome<Self> {
        let name = format!("{}/notify", sandbox.path().display());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        Ok(Self { socket, address: format!("@{name}"), store: Vec::new() })
    }

    /// The next message that is not about the store; messages about the store are applied to it as systemd does.
    pub(super) fn next(&mut self, limit: Duration) -> Outcome<String> {
        let start = Instant::now();
        loop {
            let left = bar(limit).saturating_sub(start.elapsed());
            let Some((text, fds)) = self.receive(left)? else {
                return Err(format!("no message within {limit:?}").into());
            };
            if !self.keep(&text, fds)? {
                return Ok(text);
            }
        }
    }

    fn receive(&self, left: Duration) -> Outcome<Option<(String, Vec<OwnedFd>)>> {
        let mut wait = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut wait, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX))?;
        let mut bytes = [0u8; 4096];
        match receive(&self.socket, &mut bytes)? {
            Received::Message(length, fds) => {
                Ok(Some((String::from_utf8(bytes.get(..length).unwrap_or_default().to_vec())?, fds)))
            }
            _ => Ok(None),
        }
    }

    fn keep(&mut self, text: &str, fds: Vec<OwnedFd>) -> Outcome<bool> {
        let name = line(text, "FDNAME").unwrap_or("stored").to_owned();
        ensure!(name.len() < 256 && name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b':'), "name {name:?}");
        if text.lines().any(|line| line == "FDSTOREREMOVE=1") {
            self.store.retain(|(stored, _)| *stored != name);
        } else if text.lines().any(|line| line == "FDSTORE=1") {
            ensure!(fds.len() == 1, "{} descriptors with {text:?}", fds.len());
            self.store.extend(fds.into_iter().map(|fd| (name.clone(), fd)));
        } else {
            ensure!(fds.is_empty(), "descriptors with {text:?}");
            return Ok(false);
        }
        Ok(true)
    }

    /// Waits for a message with that line, and skips messages before it.
    pub(super) fn wait_for(&mut self, wanted: &str, limit: Duration) -> Outcome<String> {
        let mut seen = Vec::new();
        let start = Instant::now();
        loop {
            match self.next(limit.saturating_sub(start.elapsed())) {
                Ok(text) if text.lines().any(|line| line == wanted) => return Ok(text),
                Ok(text) => seen.push(text),
                Err(e) => return Err(format!("{wanted}: {e}; seen: {seen:?}").into()),
            }
        }
    }

    /// Reads the messages that have arrived, until none arrives for a while.
    pub(super) fn rest(&mut self) -> Outcome<Vec<String>> {
        let mut texts = Vec::new();
        while let Some((text, fds)) = self.receive(ms(300))? {
            if !self.keep(&text, fds)? {
                texts.push(text);
            }
        }
        Ok(texts)
    }

    /// The names of what is stored, in order, without the number that stands for the user.
    pub(super) fn stored(&self) -> Vec<String> {
        let without_user = |name: &str| match name.split_once('=') {
            Some((head, rest)) if head.starts_with("listen.") && head.len() == 23 => format!("listen={rest}"),
            _ => name.to_owned(),
        };
        let mut names: Vec<String> = self.store.iter().map(|(name, _)| without_user(name)).collect();
        names.sort_unstable();
        names
    }
}

/// The value of a line `NAME=value`.
pub(super) fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}
