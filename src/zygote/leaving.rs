//! SIGTERM or SIGQUIT asks a zygote to exit. The pool's user or the administrator may send it, and systemd or a
//! terminal sends it to all processes. Only this group is affected: its workers finish their requests, and the
//! supervisor starts another zygote.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::state::{LeaveRequest, Sender, Zygote};
use crate::ipc::{ToSupervisor, ToWorker};
use crate::log::{self, messages::zygotes::zygote_asked_to_exit};
use crate::sys::clock::{self, Moment};

/// How long the zygote waits for an order of the supervisor: if the signal went to all processes,
/// the supervisor decides.
const MOMENT: Duration = Duration::from_millis(500);
/// How long workers then have to serve the connections in the hand-over queue.
const DRAIN_TIME: Duration = Duration::from_millis(1500);

impl Zygote {
    /// SIGTERM or SIGQUIT has arrived.
    pub(super) fn asked_to_leave(&mut self, sender: Sender) {
        if self.leave_request.is_none() && !self.leaving && !self.draining {
            self.leave_request = Some(LeaveRequest::Received(clock::now() + MOMENT, sender));
        }
    }

    /// Follows the request when its time has come; returns the next time at which something is due.
    pub(super) fn follow_leave_request(&mut self, now: Moment) -> Option<Moment> {
        match *self.leave_request.as_ref()? {
            LeaveRequest::Received(at, _) if at > now => Some(at),
            LeaveRequest::Received(_, sender) => {
                let Sender { signal, pid, uid } = sender;
                log::say(&zygote_asked_to_exit(signal, pid, uid));
                let end = now + DRAIN_TIME;
                self.leave_request = Some(LeaveRequest::Accepted(end, Vec::new()));
                self.start_leaving();
                Some(end)
            }
            LeaveRequest::Accepted(end, _) => Some(end).filter(|end| *end > now),
        }
    }

    /// Makes the workers drain, serve the connections that are already in the pool, and exit. The zygote exits after
    /// them.
    pub(super) fn start_leaving(&mut self) {
        self.draining = true;
        self.schedule_closing();
        self.leaving = true;
        self.pools.iter_mut().for_each(|p| p.unwatch(&self.epoll));
        self.children.tell_all(ToWorker::Part);
        self.parking.hand_back(&self.epoll, self.pools.as_slice());
    }

    /// Drops the request, because the supervisor has given an order.
    pub(super) fn forget_leave_request(&mut self) {
        if let Some(LeaveRequest::Accepted(_, asked)) = self.leave_request.take() {
            self.leaving = false;
            for (pool, slot) in asked {
                self.report(&ToSupervisor::ForkFailed { pool, slot, errno: libc::ECANCELED });
            }
        }
    }

    /// Whether the order to fork a worker is left to the next zygote.
    pub(super) fn leaves_to_the_next(&mut self, pool: usize, slot: u32) -> bool {
        let Some(LeaveRequest::Accepted(_, asked)) = &mut self.leave_request else { return false };
        asked.push((pool, slot));
        true
    }

    /// Whether the time is over in which the zygote waits for others.
    pub(super) fn waits_no_longer(&self, now: Moment) -> bool {
        matches!(self.leave_request, Some(LeaveRequest::Accepted(end, _)) if end <= now)
    }

    /// Whether all workers that are left are inside requests. They finish as children of the supervisor, so the next
    /// zygote need not wait for them.
    pub(super) fn may_leave_workers(&self, now: Moment) -> bool {
        let Some(LeaveRequest::Accepted(end, _)) = self.leave_request else { return false };
        let inside = |(pool, slot): (usize, u32)| self.pools.get(pool).is_some_and(|p| p.scoreboard.is_busy(slot));
        end <= now || self.children.staying().all(inside)
    }
}
