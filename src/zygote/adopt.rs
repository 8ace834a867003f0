//! Makes the state of a zygote from its specification and the descriptors that it has inherited.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags};

use super::pool::ZygotePool;
use super::retained::RetainedConnections;
use super::state::Zygote;
use super::{children, demand, parking};
use crate::escape;
use crate::ipc::retained::Holders;
use crate::ipc::{Channel, PoolSpec, ReportSender, ToSupervisor, ZygoteSpec};
use crate::log::{self, Level};
use crate::scoreboard::{Scoreboard, Totals};
use crate::status::Group;
use crate::sys::backlog::Inspector;
use crate::sys::idle_memory::ReleaseTimer;
use crate::sys::{fd, inherited, message};
use crate::worker::Place;

/// Takes over the descriptors that the specification names. Moves them to high numbers and sets close-on-exec.
///
/// # Errors
/// A descriptor is missing, or a memory isn't a scoreboard.
pub(super) fn adopt(spec: ZygoteSpec, php: &str) -> io::Result<Zygote> {
    let take = |raw: i32| inherited::adopt(raw).map(fd::lift);
    let control = take(spec.control_fd)?;
    let reports = spec.reports_fd.map(take).transpose()?;
    let former = reports.is_none();
    if let Some(reports) = &reports {
        log::say_by(reports.try_clone()?, packet);
    }
    let reports = ReportSender::new(reports.map_or_else(|| control.try_clone(), Ok)?);
    let drain = take(spec.drain_fd)?;
    let group = Group { name: spec.group, php: php.to_owned(), generation: spec.generation, outdated: false };
    let pools = spec.pools.into_iter().map(|p| adopt_pool(p, spec.reopened, &take)).collect::<io::Result<Vec<_>>>()?;
    // Opened now: in the chroot of a pool there may be no /dev.
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    Ok(Zygote {
        orders: Channel::new(control),
        reports,
        former,
        drain,
        pools,
        epoll,
        signals: None,
        children: children::Children::default(),
        parking: parking::ParkedConnections::new(),
        retained: RetainedConnections::default(),
        null: fd::lift(null.into()),
        nofile: spec.nofile,
        processes: spec.processes,
        graceful: spec.graceful,
        group,
        leaving: false,
        draining: false,
        closing: None,
        leave_request: None,
        inspector: Inspector::default(),
        ready_at: None,
        release: ReleaseTimer::default(),
        copied: None,
    })
}

/// A line of this process as a message for the supervisor's log.
fn packet(level: Level, text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).map_or_else(|_| escape::line(text), str::to_owned);
    ToSupervisor::Said { level, text }.packet()
}

fn adopt_pool(spec: PoolSpec, reopened: u64, take: &dyn Fn(i32) -> io::Result<OwnedFd>) -> io::Result<ZygotePool> {
    let listeners = spec.listen_fds.iter().map(|&raw| take(raw)).collect::<io::Result<Vec<_>>>()?;
    let scoreboard_fd = take(spec.scoreboard_fd)?;
    let scoreboard = Scoreboard::map(std::os::fd::AsFd::as_fd(&scoreboard_fd), spec.slots)?;
    let holders = Holders::create(spec.slots)?;
    let totals = take(spec.totals_fd)?;
    drop(Totals::map(std::os::fd::AsFd::as_fd(&totals))?);
    let access_log = spec.access_log_fd.map(take).transpose()?.map(|fd| (fd, reopened));
    let pair = || message::pair().map(|(a, b)| (fd::lift(a), fd::lift(b)));
    let (queue, park) = (pair()?, pair()?);
    let demand = demand::Demand::of(spec.config.pm);
    Ok(ZygotePool {
        spec,
        listeners,
        scoreboard_fd,
        scoreboard,
        totals,
        holders,
        queue,
        park,
        access_log,
        successor: None,
        links: Vec::new(),
        demand,
        place: Place::default(),
    })
}
