//! Prepares groups: opens what each needs before its zygote starts. A directory of a user that hangs, or a program that does not
//! answer, delays only its own group: children do what may take long, and the event loop looks at them in each turn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::configured::load_options;
use crate::log::{self, messages::reload as messages};
use crate::plan::fleet::{Event, GenerationId, ZygoteKey};
use crate::supervisor::core::Supervisor;
use crate::supervisor::generation::{GroupRuntime, Opened, Preparation, Runtime, StartError};
use crate::sys::clock;
use crate::sys::limits::FileLimits;

/// The first start waits at most this long for each group. A group that takes longer starts later.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most groups that are prepared at the same time at the first start. Those that hang count for `BRIEF` only.
const AT_ONCE: usize = 32;
const BRIEF: Duration = Duration::from_millis(300);
/// How long the first start waits for one group before it looks at the others.
const LOOK: Duration = Duration::from_millis(5);

/// A preparation has ended; or `None`: it goes on.
type Prepared = Option<Result<(), StartError>>;

impl Supervisor {
    /// At the first start, groups are prepared before the start is announced, except those that take too long.
    ///
    /// # Errors
    /// No group has what it needs; or one hasn't, and `process.start_failure` is `stop`.
    pub(super) fn prepare_all(&mut self) -> Result<(), StartError> {
        let all_or_none = self.config.global.start_failure_stops;
        let mut waiting = VecDeque::from(self.fleet.unprepared());
        let (count, mut failed, mut begun) = (waiting.len(), Vec::new(), Vec::<(GenerationId, Instant)>::new());
        loop {
            let fresh = begun.iter().filter(|(_, since)| since.elapsed() < BRIEF).count();
            let next: Vec<_> = waiting.drain(..waiting.len().min(AT_ONCE.saturating_sub(fresh))).collect();
            next.iter().for_each(|id| self.fleet.preparation_begins(id.zygote()));
            begun.extend(next.into_iter().map(|id| (id, Instant::now())));
            if begun.is_empty() {
                break;
            }
            let until = Instant::now() + LOOK;
            for (id, since) in std::mem::take(&mut begun) {
                match self.try_prepare(id, until) {
                    Some(Ok(())) => self.fleet.prepared(clock::now(), id.zygote()),
                    Some(Err(e)) if all_or_none => return Err(e),
                    Some(Err(e)) => {
                        self.note_reason(id, e.message().text());
                        self.fleet.prepare_failed(clock::now(), id.zygote());
                        failed.push(e);
                    }
                    None if all_or_none || since.elapsed() < PATIENCE => begun.push((id, since)),
                    None => {}
                }
            }
        }
        // php-fpm logs the first error only, too.
        if failed.len() == count { failed.into_iter().next().map_or(Ok(()), Err) } else { Ok(()) }
    }

    /// Begins to prepare a group.
    pub(super) fn prepare(&mut self, key: ZygoteKey) {
        self.continue_preparing(key.generation);
    }

    /// Whether groups are being prepared.
    pub(super) fn is_preparing(&self) -> bool {
        !self.preparing.is_empty()
    }

    /// Goes on with the groups that are being prepared.
    pub(super) fn advance_preparations(&mut self) {
        for id in self.preparing.keys().copied().collect::<Vec<_>>() {
            self.continue_preparing(id);
        }
        self.handle_pending();
    }

    fn continue_preparing(&mut self, id: GenerationId) {
        let key = id.zygote();
        let event = match self.try_prepare(id, Instant::now()) {
            None => return,
            Some(Ok(())) => Event::Prepared(key),
            Some(Err(e)) => {
                self.note_reason(id, e.message().text());
                Event::PrepareFailed(key)
            }
        };
        self.pending.push_back(event);
    }

    /// Prepares a group as far as it gets by then.
    fn try_prepare(&mut self, id: GenerationId, until: Instant) -> Prepared {
        let Some(mut candidate) = self.candidates.remove(&id) else { return Some(self.prepare_renewal(id)) };
        let known = self.preparing.remove(&id).ok_or_else(|| Opened::streams(&self.runtimes));
        let advanced = self.with_preparation(id, candidate.nofile, |preparation| {
            let mut preparing = match known {
                Ok(known) => known,
                Err(streams) => preparation.begin(&mut candidate.draft, streams)?,
            };
            match preparation.advance(&mut candidate.draft, &mut preparing, until) {
                Ok(group) => Ok((group, preparing)),
                Err(e) => {
                    preparing.abandon(id, preparation.sockets);
                    Err(e)
                }
            }
        });
        let outcome = match advanced {
            Ok((Some(group), _)) => {
                self.add_group(id, group);
                return Some(Ok(()));
            }
            Ok((None, preparing)) => {
                self.preparing.insert(id, preparing);
                None
            }
            Err(e) => {
                self.forget_totals();
                Some(Err(e))
            }
        };
        self.candidates.insert(id, candidate);
        outcome
    }

    /// A group has what it needs.
    pub(super) fn add_group(&mut self, id: GenerationId, group: GroupRuntime) {
        let runtime = Runtime { groups: vec![group] };
        self.outputs.add_generation(id, runtime.group_names());
        self.runtimes.insert(id, runtime);
    }

    fn with_preparation<T>(
        &mut self,
        id: GenerationId,
        nofile: FileLimits,
        work: impl FnOnce(&mut Preparation<'_>) -> T,
    ) -> T {
        let load = load_options(&self.host, &self.options);
        let (fleet, runtimes) = (&self.fleet, &self.runtimes);
        work(&mut Preparation {
            owner: id,
            leaves: &|older| fleet.makes_way(older, id),
            trust_of_socket: &|other, raw| runtimes.get(other)?.trust_of_socket(raw),
            load: &load,
            engine: &self.options.engine,
            nofile,
            sockets: &mut self.sockets,
            totals: &mut self.totals,
            programs: &mut self.programs,
        })
    }

    /// Ends the preparation of a generation that is not wanted any more.
    pub(super) fn abandon_preparation(&mut self, id: GenerationId) {
        if let Some(preparing) = self.preparing.remove(&id) {
            preparing.abandon(id, &mut self.sockets);
        }
    }

    /// The same for all, because the next image prepares its own. If there is none after all, `Fleet::prepare_again` must follow.
    pub(super) fn abandon_preparations(&mut self) -> Vec<GenerationId> {
        let ids: Vec<_> = self.preparing.keys().copied().collect();
        ids.iter().for_each(|id| self.abandon_preparation(*id));
        self.programs.abandon();
        ids
    }

    /// The start has failed: says why groups could not be prepared. Zygotes that fail say so themselves.
    pub(super) fn say_unprepared(&self) {
        for (id, candidate) in &self.candidates {
            if let Some(reason) = self.reasons.get(id) {
                log::say(&messages::group_cannot_start(&candidate.draft.name, reason));
            }
        }
    }
}
