//! What processes print: read in turn, so much of a group in a second, and put into the log.

use crate::log;
use crate::plan::budget::Intake;
use crate::plan::fleet::ZygoteKey;
use crate::supervisor::Supervisor;
use crate::supervisor::generation::runtime::{self, Runtimes};
use crate::supervisor::output::{Output, Source};
use crate::sys::clock;

/// Until what could not be watched is tried again.
const RETRY: u64 = 1000;

impl Supervisor {
    pub(in crate::supervisor) fn relay_output(&mut self, token: u64) {
        let (limit, now) = (self.log_limit(), clock::now());
        let Some(output) = self.outputs.get_mut(&token) else { return };
        let intake = intake_of(&mut self.runtimes, &mut self.stray_intake, &output.source);
        if let Some(again) = intake.rests(now) {
            // The rest waits in the pipe, and its writer with it.
            if self.resting_outputs.insert(token, again).is_none() {
                self.poller.rest_output(&output.fd);
            }
            return;
        }
        let relayed = output.relay(limit, intake);
        if relayed.closed {
            self.poller.remove(&output.fd, token);
        }
        if output.is_held() {
            return;
        }
        let source = output.source.clone();
        if relayed.request_ended {
            for other in self.outputs.values_mut().filter(|other| other.is_beside(&source)) {
                other.relay(limit, intake);
                other.finish(limit, false, intake);
            }
        }
        if relayed.closed {
            self.outputs.remove(&token);
        }
    }

    /// Those whose group may write again.
    pub(in crate::supervisor) fn wake_outputs(&mut self) {
        let now = clock::now();
        let due: Vec<u64> =
            self.resting_outputs.iter().filter(|(_, at)| **at <= now).map(|(token, _)| *token).collect();
        for token in due {
            self.resting_outputs.remove(&token);
            let Some(output) = self.outputs.get(&token) else { continue };
            if let Err(e) = self.poller.wake_output(&output.fd, token) {
                log::error(format!("unable to watch a process's output: {e}"));
                self.resting_outputs.insert(token, now.plus(RETRY));
            }
        }
    }

    /// Logs what workers have printed while their generation started, in the order in which they were made.
    pub(in crate::supervisor) fn release_outputs(&mut self) {
        let limit = self.log_limit();
        let mut held: Vec<u64> = self.outputs.iter().filter(|(_, output)| output.is_held()).map(|(t, _)| *t).collect();
        held.sort_unstable();
        for token in held {
            self.with_output(token, |output, intake| output.release(limit, intake));
            // Those that are closed already are found to be.
            self.relay_output(token);
        }
    }

    /// Does something with a pipe and what its group may bring.
    fn with_output(&mut self, token: u64, act: impl FnOnce(&mut Output, &mut Intake)) {
        if let Some(output) = self.outputs.get_mut(&token) {
            act(output, intake_of(&mut self.runtimes, &mut self.stray_intake, &output.source));
        }
    }

    /// What is left in a pipe that is about to be closed.
    pub(in crate::supervisor) fn take_last_words(&mut self, output: &mut Output) {
        let limit = self.log_limit();
        output.take_last_words(limit, intake_of(&mut self.runtimes, &mut self.stray_intake, &output.source));
    }

    /// Lines that have not come to their end are logged as they are, before another program goes on.
    pub(in crate::supervisor) fn finish_outputs(&mut self) {
        let limit = self.log_limit();
        for output in self.outputs.values_mut() {
            output.finish(limit, false, intake_of(&mut self.runtimes, &mut self.stray_intake, &output.source));
            output.settle();
        }
    }

    pub(in crate::supervisor) fn log_limit(&self) -> usize {
        self.config.global.log_limit
    }

    /// Tells what floods had to be dropped in the last second.
    pub(in crate::supervisor) fn settle_outputs(&mut self) {
        self.outputs.values_mut().for_each(Output::settle);
    }

    /// Logs what pipes hold by now, so that it stands before what is said next.
    pub(in crate::supervisor) fn drain_outputs(&mut self) {
        let tokens: Vec<u64> = self.outputs.keys().copied().collect();
        for token in tokens {
            self.relay_output(token);
        }
    }
}

/// What the group whose pipe that is may bring: its workers and its zygote share it.
fn intake_of<'a>(runtimes: &'a mut Runtimes, stray: &'a mut Intake, source: &Source) -> &'a mut Intake {
    let key = match source {
        Source::Worker { key, .. } => Some(key.zygote()),
        Source::Zygote(name) | Source::Group { group: name, .. } => latest_of(runtimes, name),
    };
    match key.and_then(|key| runtime::group_mut(runtimes, key)) {
        Some(group) => &mut group.intake,
        None => stray,
    }
}

/// The latest group of that name.
fn latest_of(runtimes: &Runtimes, name: &str) -> Option<ZygoteKey> {
    runtimes.iter().rev().find_map(|(&generation, runtime)| {
        let group = runtime.groups.iter().position(|group| group.spec.group == name)?;
        Some(ZygoteKey { generation, group })
    })
}
