//! A signal asks a zygote to leave: its own user or the administrator may send one, and systemd or a terminal sends one to all
//! processes. It concerns this group only: workers finish what they have, and the supervisor starts another zygote.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::state::{LeaveRequest, Sender, Zygote};
use crate::ipc::{ToSupervisor, ToWorker};
use crate::log::{self, messages::zygotes::zygote_asked_to_exit};
use crate::sys::clock::{self, Moment};

/// For so long the supervisor is waited for: where the signal went to all, it says what is to be done.
const MOMENT: Duration = Duration::from_millis(500);
/// Then workers without a request get so long to serve who waits in the hand-over queue.
const FAREWELL: Duration = Duration::from_millis(1500);

impl Zygote {
    /// SIGTERM or SIGQUIT has come.
    pub(super) fn asked_to_leave(&mut self, sender: Sender) {
        if self.leave_request.is_none() && !self.leaving && !self.draining {
            self.leave_request = Some(LeaveRequest::Received(clock::now() + MOMENT, sender));
        }
    }

    /// Follows the request when it is time; says when there is something to do next.
    pub(super) fn follow_leave_request(&mut self, now: Moment) -> Option<Moment> {
        match *self.leave_request.as_ref()? {
            LeaveRequest::Received(at, _) if at > now => Some(at),
            LeaveRequest::Received(_, sender) => {
                let Sender { signal, pid, uid } = sender;
                log::say(&zygote_asked_to_exit(signal, pid, uid));
                let end = now + FAREWELL;
                self.leave_request = Some(LeaveRequest::Accepted(end, Vec::new()));
                self.start_leaving();
                Some(end)
            }
            LeaveRequest::Accepted(end, _) => Some(end).filter(|end| *end > now),
        }
    }

    /// Workers take nothing new, serve what is on its way inside the pool, and leave; so does the zygote.
    pub(super) fn start_leaving(&mut self) {
        self.draining = true;
        self.schedule_closing();
        self.leaving = true;
        self.pools.iter_mut().for_each(|p| p.unwatch(&self.epoll));
        self.children.tell_all(ToWorker::Part);
        self.parking.hand_back(&self.epoll, self.pools.as_slice());
    }

    /// The supervisor has said what is to be done.
    pub(super) fn forget_leave_request(&mut self) {
        if let Some(LeaveRequest::Accepted(_, asked)) = self.leave_request.take() {
            self.leaving = false;
            for (pool, slot) in asked {
                self.report(&ToSupervisor::ForkFailed { pool, slot, errno: libc::ECANCELED });
            }
        }
    }

    /// Whether a worker that is asked for is left to the next zygote.
    pub(super) fn leaves_to_the_next(&mut self, pool: usize, slot: u32) -> bool {
        let Some(LeaveRequest::Accepted(_, asked)) = &mut self.leave_request else { return false };
        asked.push((pool, slot));
        true
    }

    /// Those of its workers that are left are inside of requests: they finish as children of the supervisor, and the next
    /// zygote need not wait for them.
    pub(super) fn may_leave_workers(&self, now: Moment) -> bool {
        let Some(LeaveRequest::Accepted(end, _)) = self.leave_request else { return false };
        let inside = |(pool, slot): (usize, u32)| self.pools.get(pool).is_some_and(|p| p.scoreboard.is_busy(slot));
        end <= now || self.children.staying().all(inside)
    }
}
