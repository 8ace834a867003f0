//! Pipes of processes that have ended. The rest of their content is logged. A process that a script has left running may hold the other end
//! for as long as it likes, so they are closed after a second. A group never has more of them than it has workers and slots.

use std::time::Duration;

use crate::plan::fleet::WorkerKey;
use crate::supervisor::output::outputs::Outputs;
use crate::supervisor::output::writer::Writer;
use crate::supervisor::poller::Poller;
use crate::sys::clock;

/// Output within this time after the end of the process is still logged.
const GRACE: Duration = Duration::from_secs(1);

impl Outputs {
    /// The worker with that slot has ended: its pipes are closed soon.
    pub(crate) fn close_soon(&mut self, worker: WorkerKey) {
        self.close_soon_where(|writer| writer.has_slot(worker));
    }

    /// The same for each pipe whose writer has ended.
    pub(crate) fn close_soon_where(&mut self, has_ended: impl Fn(&Writer) -> bool) {
        let end = clock::now() + GRACE;
        let open = self.pipes.iter_mut().filter(|(_, pipe)| !pipe.ended && has_ended(&pipe.writer));
        self.closing.extend(open.map(|(token, pipe)| {
            pipe.ended = true;
            (end, *token)
        }));
    }

    /// Closes those whose time is over. A pipe whose output is not to be logged yet stays open.
    pub(crate) fn close_due(&mut self, poller: &mut Poller) {
        let now = clock::now();
        while let Some((_, token)) = self.closing.pop_front_if(|(end, _)| *end <= now) {
            if self.pipes.get(&token).is_some_and(|pipe| pipe.is_held()) {
                self.closing.push_back((now + GRACE, token));
            } else {
                self.close(poller, token);
            }
        }
    }

    /// A slot gets another worker: the pipes of the former one are closed now, so that they don't add up.
    pub(super) fn close_slot(&mut self, poller: &mut Poller, worker: WorkerKey) {
        let tokens = self.closing.iter().map(|(_, token)| *token);
        let former = |token: &u64| self.pipes.get(token).is_some_and(|pipe| pipe.writer.has_slot(worker));
        let tokens: Vec<u64> = tokens.filter(former).collect();
        tokens.into_iter().for_each(|token| self.close(poller, token));
    }

    fn close(&mut self, poller: &mut Poller, token: u64) {
        if let Some(mut pipe) = self.pipes.remove(&token) {
            pipe.log_rest(self.limit, self.intakes.of(&pipe.writer));
            self.paused.remove(&token);
            poller.remove(&pipe.fd, token);
        }
    }
}
