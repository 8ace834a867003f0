//! The work at the paths of sockets, as far as it is over.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::time::Instant;

use crate::supervisor::sockets::background::{Background, Next};
use crate::supervisor::sockets::listeners::Sockets;
use crate::sys::{aside, listen};

impl Sockets {
    /// Whether work goes on that `advance` has to finish.
    #[must_use]
    pub(crate) fn is_busy(&self) -> bool {
        !self.background.is_empty()
    }

    /// Finishes the work that is over.
    pub(crate) fn advance(&mut self) {
        self.finish_until(Instant::now());
    }

    /// Waits briefly for the work that was begun. Nearly always it is over then.
    pub(crate) fn wait_briefly(&mut self) {
        let now = Instant::now();
        let until = now + self.waited.left(now);
        self.finish_until(until);
        if self.is_busy() {
            self.waited.add(now.elapsed());
        }
    }

    fn finish_until(&mut self, until: Instant) {
        for work in std::mem::take(&mut self.background) {
            match finish_parts(work, until) {
                Next::Continue(work) => self.background.push(work),
                Next::Break(copies) => {
                    let is_open = |inode: u64| self.all.iter().any(|listener| listener.inode == Some(inode));
                    let is_last = |copy: &OwnedFd| listen::inode(copy).is_none_or(|inode| !is_open(inode));
                    let last: Vec<OwnedFd> = copies.into_iter().filter(is_last).collect();
                    close_all(last);
                }
            }
        }
    }
}

/// Finishes the parts of the work that are over by then. The part that is not.
fn finish_parts(mut work: Background, until: Instant) -> Next {
    while work.is_over(until) {
        match work.finish() {
            Next::Continue(next) => work = next,
            over @ Next::Break(_) => return over,
        }
    }
    Next::Continue(work)
}

/// Closes listening sockets. The queue of a unix socket may hold descriptors that its clients have sent, and nothing of theirs may
/// delay the supervisor.
pub(super) fn close_all(sockets: impl IntoIterator<Item = OwnedFd>) {
    let (tcp, unix): (Vec<_>, Vec<_>) = sockets.into_iter().partition(|socket| listen::local(socket).is_some());
    drop(tcp);
    aside::close(unix);
}

impl Drop for Sockets {
    /// The process ends: waits for the rest, as long as its users' time limits allow it. Its exit closes the sockets, and the kernel
    /// does not wait then for descriptors in their queues.
    fn drop(&mut self) {
        let copies = self.background.drain(..).flat_map(Background::end);
        let listeners = self.all.drain(..).map(|listener| listener.fd);
        copies.chain(listeners).for_each(|socket| {
            let _ = socket.into_raw_fd();
        });
    }
}
