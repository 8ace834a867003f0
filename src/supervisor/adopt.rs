//! A new image takes over: sockets, zygotes and scoreboards that the former one left open. All is looked at before
//! anything is changed.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use nix::unistd::Pid;

use super::drain::DrainState;
use super::output::Source;
use super::runtime::{GroupRuntime, Runtime, Runtimes, ZygoteProcess};
use super::sockets::{Listener, Sockets};
use super::state::{GroupState, RuntimeState, State};
use super::totals::Book;
use crate::ipc::{Board, Channel, Trust};
use crate::log;
use crate::plan::fleet::WorkerKey;
use crate::scoreboard::Scoreboard;
use crate::sys::fd;

/// What was taken over.
#[derive(Debug)]
pub struct Adopted {
    /// Listening sockets.
    pub sockets: Sockets,
    /// The pools' counters.
    pub totals: Book,
    /// Generations.
    pub runtimes: Runtimes,
    /// Ways to tracers.
    pub tracers: Vec<(WorkerKey, OwnedFd)>,
    /// Pipes.
    pub outputs: Vec<(OwnedFd, Source)>,
    /// The bulletin; a former image without one is succeeded by one that begins anew.
    pub board: Board,
}

/// Takes over what the state names.
///
/// # Errors
/// A descriptor that isn't there or isn't what it should be.
pub fn adopt(state: &State) -> io::Result<Adopted> {
    let sockets = adopt_sockets(&state.sockets, &state.passed)?;
    let totals = Book::adopt(&state.totals, |raw| trust_of(state, raw))?;
    let runtimes = state.runtimes.iter().map(|r| Ok((r.id, adopt_runtime(r)?))).collect::<io::Result<_>>()?;
    let outputs = state.outputs.iter().map(|(raw, source)| Ok((fd::adopt(*raw)?, source.clone())));
    let outputs = outputs.collect::<io::Result<_>>()?;
    let tracers = state.tracers.iter().map(|(key, raw)| Ok((*key, fd::adopt(*raw)?)));
    let tracers = tracers.collect::<io::Result<_>>()?;
    let board = state.board.map_or_else(Board::new, |raw| Ok(Board::adopt(fd::adopt(raw)?)))?;
    Ok(Adopted { sockets, totals, runtimes, outputs, tracers, board })
}

/// Whose the counters with that descriptor are.
fn trust_of(state: &State, totals_fd: RawFd) -> Option<Trust> {
    let groups = state.runtimes.iter().flat_map(|r| &r.groups);
    groups
        .flat_map(|g| g.spec.pools.iter().map(move |p| (&g.spec, p)))
        .find_map(|(spec, pool)| (pool.totals_fd == totals_fd).then(|| spec.trust(pool)))
}

fn adopt_sockets(list: &[(String, RawFd)], passed: &[RawFd]) -> io::Result<Sockets> {
    let mut sockets = Sockets::default();
    for (name, raw) in list {
        let fd = fd::adopt(*raw)?;
        log::notice(format!("using inherited socket fd={raw}, \"{name}\""));
        sockets.all.push(Listener::inherited(name.clone(), fd).passed_if(passed.contains(raw)));
    }
    Ok(sockets)
}

fn adopt_runtime(state: &RuntimeState) -> io::Result<Runtime> {
    let drain = state.drain.map(fd::adopt).transpose()?;
    let groups = state.groups.iter().map(|g| adopt_group(g, drain.as_ref())).collect::<io::Result<_>>()?;
    Ok(Runtime { groups })
}

fn adopt_group(state: &GroupState, of_generation: Option<&OwnedFd>) -> io::Result<GroupRuntime> {
    let drain = DrainState::adopt(state.drain, of_generation)?;
    let zygote = match state.zygote {
        Some((pid, raw)) => {
            let (pid, channel) = (Pid::from_raw(pid), Channel::new(fd::adopt(raw)?));
            Some(ZygoteProcess { pid, distrusted: false, channel })
        }
        None => None,
    };
    let boards = state.boards.iter().zip(&state.spec.pools).map(|(raw, pool)| {
        let fd = fd::adopt(*raw)?;
        let board = Scoreboard::map(fd.as_fd(), pool.slots)?;
        Ok((fd, board))
    });
    let boards = boards.collect::<io::Result<_>>()?;
    let access_logs = state.spec.pools.iter().map(|pool| pool.access_log_fd.map(fd::adopt).transpose());
    let access_logs = access_logs.collect::<io::Result<_>>()?;
    Ok(GroupRuntime { spec: state.spec.clone(), drain, zygote, boards, access_logs })
}
