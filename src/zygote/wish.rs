//! A signal asks a zygote to leave: its own user or the administrator may send one, and systemd or a terminal sends one to all
//! processes. It concerns this group only: workers finish what they have, and the supervisor starts another zygote.
#![forbid(unsafe_code)]

use nix::sys::signal::Signal;

use super::event_loop::Zygote;
use crate::ipc::{ToSupervisor, ToWorker};
use crate::log;
use crate::sys::clock::{self, Millis};

/// For so long the supervisor is waited for: where the signal went to all, it says what is to be done.
const MOMENT: u64 = 500;
/// Then workers without a request get so long to serve who waits in the hand-over queue.
const FAREWELL: u64 = 1_500;

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Of that sender; to be followed at that time, unless the supervisor says something before.
    Heard(Millis, Sender),
    /// It is followed. From that time on no worker is waited for. The supervisor has asked for these meanwhile, pool and slot.
    Followed(Millis, Vec<(usize, u32)>),
}

/// Who has sent a signal, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sender {
    /// SIGTERM or SIGQUIT.
    pub(super) signal: Signal,
    /// 0: a process that can't be seen from here.
    pub(super) pid: u32,
    /// Its real user.
    pub(super) uid: u32,
}

impl Sender {
    fn explain(self) {
        let Self { signal, pid, uid } = self;
        log::notice(format!(
            "{signal} from process {pid} of user {uid} asks it to leave: its workers finish their requests, and a new zygote takes over"
        ));
    }
}

impl Zygote {
    /// SIGTERM or SIGQUIT has come.
    pub(super) fn asked_to_leave(&mut self, sender: Sender) {
        if self.wish.is_none() && !self.leaving && !self.draining {
            self.wish = Some(Wish::Heard(clock::now().plus(MOMENT), sender));
        }
    }

    /// Follows the wish when it is time; says when there is something to do next.
    pub(super) fn follow_wish(&mut self, now: Millis) -> Option<Millis> {
        match *self.wish.as_ref()? {
            Wish::Heard(at, _) if at > now => Some(at),
            Wish::Heard(_, sender) => {
                sender.explain();
                let end = now.plus(FAREWELL);
                self.wish = Some(Wish::Followed(end, Vec::new()));
                self.part();
                Some(end)
            }
            Wish::Followed(end, _) => Some(end).filter(|end| *end > now),
        }
    }

    /// Workers take nothing new, serve what is on its way inside the pool, and leave; so does the zygote.
    pub(super) fn part(&mut self) {
        self.draining = true;
        self.begin_last_call();
        self.leaving = true;
        self.pools.iter_mut().for_each(|p| p.unwatch(&self.epoll));
        self.children.tell_all(ToWorker::Part);
        self.parking.hand_back(&self.epoll, self.pools.as_slice());
    }

    /// The supervisor has said what is to be done.
    pub(super) fn forget_wish(&mut self) {
        if let Some(Wish::Followed(_, asked)) = self.wish.take() {
            self.leaving = false;
            for (pool, slot) in asked {
                self.report(&ToSupervisor::ForkFailed { pool, slot, errno: libc::ECANCELED });
            }
        }
    }

    /// Whether a worker that is asked for is left to the next zygote.
    pub(super) fn leaves_to_the_next(&mut self, pool: usize, slot: u32) -> bool {
        let Some(Wish::Followed(_, asked)) = &mut self.wish else { return false };
        asked.push((pool, slot));
        true
    }

    /// Those of its workers that are left are inside of requests: they finish as children of the supervisor, and the next
    /// zygote need not wait for them.
    pub(super) fn may_desert(&self, now: Millis) -> bool {
        let Some(Wish::Followed(end, _)) = self.wish else { return false };
        let inside = |(pool, slot): (usize, u32)| self.pools.get(pool).is_some_and(|p| p.board.is_busy(slot));
        end <= now || self.children.staying().all(inside)
    }
}
