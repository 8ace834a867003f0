//! The state that one image of the supervisor hands to the next: self-describing JSON in a memfd, descriptors by number.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::configured::loaded_files::MarkedFile;
use crate::ipc::ZygoteSpec;
use crate::log::Backlog;
use crate::plan::base::BaseId;
use crate::plan::events::Events;
use crate::plan::fleet::{Fleet, GenerationId, Scope, WorkerKey};
use crate::supervisor::bases::BaseState;
use crate::supervisor::control_socket::ControlState;
use crate::supervisor::generation::{AboutPhp, DrainState};
use crate::supervisor::monitor::MonitorState;
use crate::supervisor::output::Writer;
use crate::supervisor::sockets::Ownership;
use crate::supervisor::systemd::SystemdState;
use crate::sys::limits::FileLimits;
use crate::sys::{inherited, shared};

/// Goes up when an older version could not read it any more.
pub(super) const VERSION: u32 = 5;
/// The oldest one that can be read: zygotes without a pipe for reports.
const OLDEST: u32 = 3;

/// The state. A reader ignores fields that it doesn't know, and has defaults for missing ones where that makes sense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// `VERSION` of the writer.
    pub version: u32,
    /// Absolute path of the program.
    pub program: PathBuf,
    /// RLIMIT_NOFILE of the first start.
    pub nofile: FileLimits,
    /// Listening sockets.
    pub sockets: Vec<(String, RawFd)>,
    /// Which generations name each of them; a former version doesn't say.
    #[serde(default)]
    pub ownership: Option<Vec<Ownership>>,
    /// Those of them that systemd has opened.
    #[serde(default)]
    pub passed: Vec<RawFd>,
    /// The sockets that systemd stores, and messages that were not sent yet.
    #[serde(default)]
    pub systemd: SystemdState,
    /// The configuration in force.
    pub config: Config,
    /// The pools' counters.
    pub totals: Vec<(String, RawFd)>,
    /// The values of those that no process but the supervisor has had, by descriptor. A former version has written all values into
    /// the memory.
    #[serde(default)]
    pub unpublished: BTreeMap<RawFd, Vec<u64>>,
    /// The fleet.
    pub fleet: Fleet,
    /// The resources of their processes.
    pub runtimes: Vec<RuntimeState>,
    /// How many times access logs have been opened again.
    #[serde(default)]
    pub reopened: u64,
    /// Pipes of captured output.
    #[serde(default)]
    pub outputs: Vec<(RawFd, Writer)>,
    /// Sockets to tracers of a former version; they are closed.
    #[serde(default)]
    pub tracers: Vec<(WorkerKey, RawFd)>,
    /// Descriptors that could not be closed without a wait.
    #[serde(default)]
    pub unclosed: Vec<RawFd>,
    /// Pipes to tracers: questions, answers.
    #[serde(default)]
    pub traces: Vec<(WorkerKey, RawFd, RawFd)>,
    /// Base zygotes.
    #[serde(default)]
    pub bases: Vec<BaseState>,
    /// The log.
    #[serde(default)]
    pub log: Option<RawFd>,
    /// Lines that the log has not taken yet.
    #[serde(default)]
    pub unwritten: Backlog,
    /// The results.
    #[serde(default)]
    pub board: Option<RawFd>,
    /// Requests of commands.
    #[serde(default)]
    pub requests: Option<RawFd>,
    /// What the reload under way renews.
    #[serde(default)]
    pub scope: Scope,
    /// Why groups keep what they had.
    #[serde(default)]
    pub outdated: BTreeMap<String, String>,
    /// The monitor.
    #[serde(default)]
    pub monitor: Option<MonitorState>,
    /// Monitors that were told to end.
    #[serde(default)]
    pub monitors_ending: Vec<i32>,
    /// What has happened.
    #[serde(default)]
    pub events: Events,
    /// The control socket.
    #[serde(default)]
    pub control: Option<ControlState>,
    /// What the supervisor publishes about itself.
    #[serde(default)]
    pub service: Option<RawFd>,
    /// Where the check is to write which generations run with other files than there are now.
    #[serde(default)]
    pub answer: Option<RawFd>,
}

/// A generation's descriptors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RuntimeState {
    /// Which.
    pub id: GenerationId,
    /// The drain signal that all its groups shared, in a program that had one for them.
    #[serde(default)]
    pub drain: Option<RawFd>,
    /// By group.
    pub groups: Vec<GroupState>,
}

/// A group's descriptors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupState {
    /// The specifications of its zygotes.
    pub spec: ZygoteSpec,
    /// The drain signal of its workers.
    #[serde(default)]
    pub drain: Option<DrainState>,
    /// Its pid, and the socket of its orders.
    pub zygote: Option<(i32, RawFd)>,
    /// The pipe of its reports and its protocol version, once it has said `Hello`. None: one of version 3 has no pipe.
    #[serde(default)]
    pub voice: Option<(RawFd, Option<u32>)>,
    /// Its base zygote.
    #[serde(default)]
    pub base: Option<BaseId>,
    /// It was forked from its base zygote and is not ready yet.
    #[serde(default)]
    pub unproved: bool,
    /// Scoreboards by pool.
    pub boards: Vec<RawFd>,
    /// The files that its PHP was started with.
    #[serde(default)]
    pub files: Vec<MarkedFile>,
    /// What its zygote has said about its PHP.
    #[serde(default)]
    pub about: AboutPhp,
}

/// Why a state can't be taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// It can't be read, or a descriptor that it names is missing.
    #[error(transparent)]
    System(#[from] io::Error),
    /// It is no state.
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
    /// Another version has written it.
    #[error("state of version {0}, this program knows {OLDEST} to {VERSION}")]
    Version(u32),
    /// It names processes without their resources, or the other way round.
    #[error("state whose parts don't fit together")]
    Inconsistent,
}

impl State {
    /// Reads the state in that descriptor, a memfd.
    ///
    /// # Errors
    /// It can't be read, or is no state.
    pub(crate) fn read(raw: RawFd) -> Result<Self, StateError> {
        let content = shared::content_of(inherited::adopt(raw)?)?;
        Ok(serde_json::from_slice(&content)?)
    }

    /// Every descriptor that is to survive the exec.
    #[must_use]
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let sockets = self.sockets.iter().map(|(_, fd)| *fd);
        let outputs = self.outputs.iter().map(|(fd, _)| *fd);
        let runtimes = self.runtimes.iter().flat_map(|r| {
            let groups = r.groups.iter().flat_map(|g| {
                let access_logs = g.spec.pools.iter().filter_map(|pool| pool.access_log_fd);
                let drain = g.drain.and_then(DrainState::number);
                let ways = g.zygote.map(|(_, fd)| fd).into_iter().chain(g.voice.map(|(fd, _)| fd));
                g.boards.iter().copied().chain(ways).chain(access_logs).chain(drain)
            });
            groups.chain(r.drain)
        });
        let totals = self.totals.iter().map(|(_, fd)| *fd);
        let former = self.tracers.iter().map(|(_, fd)| *fd);
        let tracers = former.chain(self.traces.iter().flat_map(|(_, question, answer)| [*question, *answer]));
        let own = self
            .log
            .into_iter()
            .chain(self.board)
            .chain(self.requests)
            .chain(self.unclosed.iter().copied())
            .chain(self.service)
            .chain(self.control.iter().map(|control| control.listener))
            .chain(self.monitor.iter().flat_map(MonitorState::descriptors))
            .chain(self.bases.iter().flat_map(BaseState::descriptors));
        sockets.chain(totals).chain(outputs).chain(tracers).chain(runtimes).chain(own).collect()
    }

    /// Whether this program can carry on from it.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn validate(&self) -> Result<(), StateError> {
        if !(OLDEST..=VERSION).contains(&self.version) {
            return Err(StateError::Version(self.version));
        }
        let consistent = self.fleet.generations().iter().all(|g| {
            let runtime = self.runtimes.binary_search_by_key(&g.id, |r| r.id).ok().and_then(|at| self.runtimes.get(at));
            runtime.is_some_and(|r| {
                r.groups.len() == g.groups.len()
                    && r.groups
                        .iter()
                        .zip(&g.groups)
                        .all(|(r, g)| r.boards.len() == g.pools.len() && r.spec.pools.len() == g.pools.len())
            })
        });
        if consistent { Ok(()) } else { Err(StateError::Inconsistent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As former versions wrote it, which had one drain signal for a whole generation and no pid of a zygote's pipe.
    #[test]
    fn an_older_state_can_be_read() {
        let runtime: RuntimeState = serde_json::from_str(r#"{"id":3,"drain":17,"groups":[]}"#).unwrap();
        assert_eq!(runtime.drain, Some(17));
        let spec = r#"{"group":"www","generation":1,"identity":null,"engine":ENGINE,"control_fd":5,"drain_fd":17,"log_level":"Notice","log_fd":null,"pools":[],"nofile":[9,9]}"#;
        let engine = serde_json::to_string(&crate::engine::EngineOptions::default()).unwrap();
        let group = format!(r#"{{"spec":{},"zygote":[7,8],"boards":[]}}"#, spec.replace("ENGINE", &engine));
        let group: GroupState = serde_json::from_str(&group).unwrap();
        assert_eq!((group.drain, group.spec.graceful), (None, false));
        let writer: Writer = serde_json::from_str(r#"{"Zygote":"www"}"#).unwrap();
        assert_eq!(writer, Writer::Zygote("www".to_owned()));
    }
}
