//! Work in a child, with a time limit: this process neither runs PHP nor changes its user.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::pipe2;

use crate::sys::process::{self, Forked};
use crate::sys::{single_threaded, socket};

/// The most that is read of a child's output, in bytes.
const LONGEST: u64 = 1 << 20;

/// Lets a child do `work`; returns its output. `None`: it took too long, printed too much, or could not be started.
pub(super) fn in_child(limit: Duration, work: impl FnOnce(&mut File)) -> Option<Vec<u8>> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).ok()?;
    let pid = match single_threaded::fork() {
        Ok(Forked::Parent(pid)) => pid,
        Ok(Forked::Child) => {
            drop(read);
            work(&mut File::from(write));
            process::exit_now(0)
        }
        Err(_) => return None,
    };
    drop(write);
    let said = read_until_end(File::from(read), Instant::now() + limit);
    // The child is not yet reaped, so no other process can have this number.
    let _ = kill(pid, Signal::SIGKILL);
    while waitpid(pid, None) == Err(nix::errno::Errno::EINTR) {}
    said
}

fn read_until_end(mut from: File, deadline: Instant) -> Option<Vec<u8>> {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if Instant::now() >= deadline || socket::await_input(&from, deadline) != Ok(true) {
            return None;
        }
        match from.read(&mut buffer) {
            Ok(0) => return Some(said),
            Ok(count) => said.extend_from_slice(buffer.get(..count)?),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
        if said.len() as u64 > LONGEST {
            return None;
        }
    }
}
