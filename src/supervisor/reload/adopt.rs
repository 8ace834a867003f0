//! A new image takes over the sockets, zygotes and scoreboards that the former one left open. Everything is examined before anything
//! is changed.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

use nix::unistd::Pid;

use crate::ipc::{FORMER_PROTOCOL, OrderSender, ReportReceiver, RequestReader, ResultsWriter, Trust};
use crate::log::{self, messages::sockets as messages};
use crate::plan::fleet::{GenerationId, Phase, WorkerKey};
use crate::scoreboard::Service;
use crate::supervisor::bases::Bases;
use crate::supervisor::control_socket::ControlSocket;
use crate::supervisor::generation::{DrainState, GroupRuntime, PoolRuntime, PoolTotals, Runtime, Runtimes};
use crate::supervisor::hear::former;
use crate::supervisor::monitor::{Monitor, MonitorState};
use crate::supervisor::output::Writer;
use crate::supervisor::reload::state::{GroupState, RuntimeState, State};
use crate::supervisor::sockets::{Listener, Sockets};
use crate::sys::{inherited, listen};

/// The adopted state.
#[derive(Debug)]
pub(super) struct Adopted {
    /// Listening sockets.
    pub sockets: Sockets,
    /// The pools' counters.
    pub totals: PoolTotals,
    /// Generations.
    pub runtimes: Runtimes,
    /// Pipes to tracers: questions, answers.
    pub tracers: Vec<(WorkerKey, OwnedFd, OwnedFd)>,
    /// Descriptors that are to be closed with care.
    pub unclosed: Vec<OwnedFd>,
    /// Pipes.
    pub outputs: Vec<(OwnedFd, Writer)>,
    /// Base zygotes.
    pub bases: Bases,
    /// The results of commands and their requests. A former version may have had none of these files; then they start empty.
    pub commands: (ResultsWriter, RequestReader),
    /// The monitor.
    pub monitor: Monitor,
    /// The control socket.
    pub control: ControlSocket,
    /// What the supervisor publishes about itself; `None`: a former version has not done so.
    pub service: Option<Service>,
}

/// Takes over what the state names.
///
/// # Errors
/// A descriptor that isn't there or isn't what it should be.
pub(super) fn adopt(state: &State) -> io::Result<Adopted> {
    let sockets = adopt_sockets(state)?;
    let totals = PoolTotals::adopt(&state.totals, &state.unpublished, |raw| trust_of(state, raw))?;
    let runtimes = state.runtimes.iter().map(|r| Ok((r.id, adopt_runtime(r)?))).collect::<io::Result<_>>()?;
    let outputs = state.outputs.iter().map(|(raw, source)| Ok((inherited::adopt(*raw)?, source.clone())));
    let outputs = outputs.collect::<io::Result<_>>()?;
    let tracers = state
        .traces
        .iter()
        .map(|(key, question, answer)| Ok((*key, inherited::adopt(*question)?, inherited::adopt(*answer)?)));
    let tracers = tracers.collect::<io::Result<_>>()?;
    let unclosed = state.tracers.iter().map(|(_, raw)| raw).chain(&state.unclosed);
    let unclosed = unclosed.map(|raw| inherited::adopt(*raw)).collect::<io::Result<_>>()?;
    let bases = Bases::adopt(&state.bases)?;
    let results =
        state.board.map_or_else(ResultsWriter::new, |raw| Ok(ResultsWriter::adopt(inherited::adopt(raw)?)))?;
    let requests =
        state.requests.map_or_else(RequestReader::new, |raw| Ok(RequestReader::adopt(inherited::adopt(raw)?)))?;
    let monitor = MonitorState::adopt(state.monitor.as_ref(), &state.monitors_ending)?;
    let control = state.control.as_ref().map_or_else(|| Ok(ControlSocket::default()), |state| state.adopt())?;
    let service = state.service.map(|raw| Service::adopt(inherited::adopt(raw)?)).transpose()?;
    let commands = (results, requests);
    Ok(Adopted { sockets, totals, runtimes, outputs, tracers, unclosed, bases, commands, monitor, control, service })
}

/// The user of the pool whose counters have that descriptor.
fn trust_of(state: &State, totals_fd: RawFd) -> Option<Trust> {
    let groups = state.runtimes.iter().flat_map(|r| &r.groups);
    groups
        .flat_map(|g| g.spec.pools.iter().map(move |p| (&g.spec, p)))
        .find_map(|(spec, pool)| (pool.totals_fd == totals_fd).then(|| spec.trust(pool)))
}

fn adopt_sockets(state: &State) -> io::Result<Sockets> {
    let mut sockets = Sockets::default();
    for (name, raw) in &state.sockets {
        let fd = inherited::adopt(*raw)?;
        // A former version drops the name when a reload fails, and then finds its own socket in the way at each later reload.
        let name =
            Some(name.clone()).filter(|name| !name.is_empty()).or_else(|| listen::address(&fd)).unwrap_or_default();
        log::say(&messages::inherited_socket_used(raw, &name));
        let listener = Listener::inherited(name, fd).passed_if(state.passed.contains(raw));
        sockets.add(match &state.ownership {
            Some(all) => all.iter().filter(|of| of.fd == *raw).fold(listener, Listener::resumed),
            None => naming(state, *raw).fold(listener, Listener::named_by),
        });
    }
    Ok(sockets)
}

/// The generations whose pools have that descriptor, in the state of a former version. Those that drain don't count: their sockets
/// may be closed already, and the number another socket's.
fn naming(state: &State, raw: RawFd) -> impl Iterator<Item = GenerationId> {
    let serves = |id: GenerationId| {
        state.fleet.generations().iter().any(|generation| generation.id == id && generation.phase != Phase::Draining)
    };
    let has = move |runtime: &&RuntimeState| {
        runtime.groups.iter().flat_map(|group| &group.spec.pools).any(|pool| pool.listen_fds.contains(&raw))
    };
    state.runtimes.iter().filter(has).map(|runtime| runtime.id).filter(move |id| serves(*id))
}

fn adopt_runtime(state: &RuntimeState) -> io::Result<Runtime> {
    let drain = state.drain.map(inherited::adopt).transpose()?;
    let groups = state.groups.iter().map(|g| adopt_group(g, drain.as_ref())).collect::<io::Result<_>>()?;
    Ok(Runtime { groups })
}

fn adopt_group(state: &GroupState, of_generation: Option<&OwnedFd>) -> io::Result<GroupRuntime> {
    let drain = DrainState::adopt(state.drain, of_generation)?;
    let pools = state.boards.iter().zip(&state.spec.pools).map(|(raw, pool)| {
        let access_log = pool.access_log_fd.map(inherited::adopt).transpose()?;
        PoolRuntime::new(inherited::adopt(*raw)?, pool.slots, access_log)
    });
    let mut group = GroupRuntime::new(state.spec.clone(), drain, pools.collect::<io::Result<_>>()?);
    group.files = Rc::new(state.files.clone());
    group.about = state.about.clone();
    if let Some((pid, raw)) = state.zygote {
        let orders = inherited::adopt(raw)?;
        let (reports, protocol) = match state.voice {
            Some((reports, protocol)) => (ReportReceiver::new(inherited::adopt(reports)?, &state.spec.group), protocol),
            None => (former::hear_by_child(&orders, &state.spec.group)?, Some(FORMER_PROTOCOL)),
        };
        group.set_zygote(Pid::from_raw(pid), OrderSender::new(orders, group.slots()), reports, protocol);
    }
    group.base = state.base;
    if let Some(zygote) = &mut group.zygote {
        zygote.unproved = state.unproved;
    }
    Ok(group)
}
