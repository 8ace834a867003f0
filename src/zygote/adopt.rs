//! From the descriptors that a zygote was started with to its state.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags};

use super::event_loop::Zygote;
use super::{Pool, children, demand, parking};
use crate::ipc::{Channel, PoolSpec, ZygoteSpec};
use crate::log;
use crate::scoreboard::{Scoreboard, Totals};
use crate::sys::backlog::Inspector;
use crate::sys::{fd, message};

/// Takes over what the specification names. Everything is moved to high numbers, close-on-exec.
///
/// # Errors
/// A descriptor that isn't there, or a scoreboard that isn't one.
pub(super) fn adopt(spec: ZygoteSpec) -> io::Result<Zygote> {
    let take = |raw: i32| fd::adopt(raw).map(fd::lift);
    let control = Channel::new(take(spec.control_fd)?);
    let drain = take(spec.drain_fd)?;
    if let Some(raw) = spec.log_fd {
        log::replace_descriptor(take(raw)?);
        log::set_format(spec.log_format);
        log::never_wait();
    }
    let pools = spec.pools.into_iter().map(|p| adopt_pool(p, spec.reopened, &take)).collect::<io::Result<Vec<_>>>()?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    Ok(Zygote {
        control,
        drain,
        pools,
        epoll,
        signals: None,
        children: children::Children::default(),
        parking: parking::Parking::new(),
        nofile: spec.nofile,
        graceful: spec.graceful,
        leaving: false,
        draining: false,
        last_call: None,
        wish: None,
        inspector: Inspector::default(),
    })
}

fn adopt_pool(spec: PoolSpec, reopened: u64, take: &dyn Fn(i32) -> io::Result<OwnedFd>) -> io::Result<Pool> {
    let listeners = spec.listen_fds.iter().map(|&raw| take(raw)).collect::<io::Result<Vec<_>>>()?;
    let scoreboard = take(spec.scoreboard_fd)?;
    let board = Scoreboard::map(std::os::fd::AsFd::as_fd(&scoreboard), spec.slots)?;
    let totals = take(spec.totals_fd)?;
    drop(Totals::map(std::os::fd::AsFd::as_fd(&totals))?);
    let access_log = spec.access_log_fd.map(take).transpose()?.map(|fd| (fd, reopened));
    let pair = || message::pair().map(|(a, b)| (fd::lift(a), fd::lift(b)));
    let (queue, park) = (pair()?, pair()?);
    let demand = demand::Demand::of(spec.config.pm);
    Ok(Pool {
        spec,
        listeners,
        scoreboard,
        board,
        totals,
        queue,
        park,
        access_log,
        successor: None,
        links: Vec::new(),
        demand,
    })
}
