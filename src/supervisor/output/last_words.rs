//! Pipes of processes that have ended. What is in them is logged; a process that a script has left behind may hold the other end for
//! as long as it likes, or give it away, so they are closed after a moment. A group never has more of them than its workers and
//! slots call for.

use crate::plan::fleet::WorkerKey;
use crate::supervisor::Supervisor;
use crate::supervisor::output::Source;
use crate::sys::clock;

/// What comes in that many milliseconds is still logged.
const MOMENT: u64 = 1_000;

impl Supervisor {
    /// A worker has ended.
    pub(in crate::supervisor) fn expect_last_words(&mut self, worker: WorkerKey) {
        self.limit_pipes(|source| source.is_of(worker));
    }

    /// The same for all whose writers aren't there any more.
    pub(in crate::supervisor) fn expect_last_words_of_the_dead(&mut self) {
        let all = self.outputs.values().map(|output| &output.source);
        let dead: Vec<Source> = all.filter(|source| !self.has_writer(source)).cloned().collect();
        self.limit_pipes(|source| dead.contains(source));
    }

    fn limit_pipes(&mut self, which: impl Fn(&Source) -> bool) {
        let end = clock::now().plus(MOMENT);
        let open = self.outputs.iter_mut().filter(|(_, output)| !output.ended && which(&output.source));
        self.last_words.extend(open.map(|(token, output)| {
            output.ended = true;
            (end, *token)
        }));
    }

    fn has_writer(&self, source: &Source) -> bool {
        let mut zygotes = self.runtimes.values().flat_map(|r| &r.groups).filter_map(|g| Some((g, g.zygote.as_ref()?)));
        match source {
            Source::Worker { key, pid, .. } => {
                self.fleet.worker(*key).is_some_and(|w| *pid == 0 || w.pid.is_none_or(|known| known == *pid))
            }
            Source::Group { pid, .. } => zygotes.any(|(_, zygote)| zygote.pid.as_raw() == *pid),
            Source::Zygote(name) => zygotes.any(|(group, _)| group.spec.group == *name),
        }
    }

    /// Closes those whose time is over. What isn't to be logged yet is kept with its pipe.
    pub(in crate::supervisor) fn close_pipes(&mut self) {
        let now = clock::now();
        while let Some((_, token)) = self.last_words.pop_front_if(|(end, _)| *end <= now) {
            if self.outputs.get(&token).is_some_and(|output| output.is_held()) {
                self.last_words.push_back((now.plus(MOMENT), token));
            } else {
                self.close_pipe(token);
            }
        }
    }

    fn close_pipe(&mut self, token: u64) {
        if let Some(mut output) = self.outputs.remove(&token) {
            self.take_last_words(&mut output);
            self.resting_outputs.remove(&token);
            self.poller.remove(&output.fd, token);
        }
    }

    /// A slot gets another worker: the pipes of the one that had it before are closed now, so that they don't add up.
    pub(in crate::supervisor) fn close_pipes_of_slot(&mut self, key: WorkerKey) {
        let tokens = self.last_words.iter().map(|(_, token)| *token);
        let former = |token: &u64| self.outputs.get(token).is_some_and(|output| output.source.is_of(key));
        let tokens: Vec<u64> = tokens.filter(former).collect();
        tokens.into_iter().for_each(|token| self.close_pipe(token));
    }
}
