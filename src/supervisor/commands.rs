//! Requests of the control commands (SIGRTMIN+1).

use std::time::Duration;

use crate::ipc::Request;
use crate::log::{self, messages::reload as messages};
use crate::supervisor::core::Supervisor;
use crate::sys::clock;

/// Requests that could not be read, because a command was writing, are looked for again after this time.
const RETRY: Duration = Duration::from_millis(10);

impl Supervisor {
    /// Carries out the requests that wait.
    pub(super) fn hear_requests(&mut self) {
        self.requests_due = None;
        let requests = match self.requests.take() {
            Ok(Some(requests)) => requests,
            Ok(None) => {
                self.requests_due = Some(clock::now() + RETRY);
                return;
            }
            Err(e) => return log::say(&messages::requests_not_read(e)),
        };
        if requests.unknown > 0 {
            log::say(&messages::requests_not_understood(requests.unknown));
        }
        for request in requests.requests {
            if let Request::Groups { id } = request {
                self.tell_groups(id);
            } else if let Some(scope) = request.scope() {
                self.reload_asked(scope);
            }
        }
    }

    /// The same when it is due.
    pub(super) fn look_for_requests(&mut self) {
        if self.requests_due.is_some_and(|due| due <= clock::now()) {
            self.hear_requests();
        }
    }
}
