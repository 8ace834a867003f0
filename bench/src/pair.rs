//! Our server and php-fpm with the same settings, and rounds that alternate between them.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use testkit::Outcome;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::{Listen, Setup};
use testkit::target::Target;

use crate::options::Options;

/// Ours, and php-fpm.
pub(crate) const OURS: usize = 0;

/// Both servers; ours first.
#[derive(Debug)]
pub(crate) struct Pair(pub(crate) [Server; 2]);

/// The settings of every pair. opcache's are PHP's own defaults: the pages have an old date (`pages`).
pub(crate) fn setup(workers: u32, listen: Listen) -> Setup {
    Setup::new(workers)
        .listen(listen)
        .pool("listen.backlog = 4096")
        .ini("opcache.file_update_protection = 2")
        .ini("upload_max_filesize = 80M\npost_max_size = 96M")
}

impl Pair {
    /// Starts both.
    ///
    /// # Errors
    /// If one does not start.
    pub(crate) fn start(ours: &Target, setup: &Setup, options: &Options) -> Outcome<Self> {
        Ok(Self([start(ours, setup, options)?, start(&ours.partner(), setup, options)?]))
    }

    /// Measures each server in each round. Each goes first equally often.
    ///
    /// # Errors
    /// If a measurement fails.
    pub(crate) fn rounds<T>(
        &self,
        rounds: usize,
        mut measure: impl FnMut(usize, &Server) -> Outcome<T>,
    ) -> Outcome<[Vec<T>; 2]> {
        let mut results = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            for at in [round % 2, (round + 1) % 2] {
                let name = if at == OURS { "cgi-fpm" } else { "php-fpm" };
                let result = measure(at, &self.0[at]).map_err(|error| format!("{name}: {error}"))?;
                results[at].push(result);
            }
        }
        Ok(results)
    }

    /// Ends both.
    ///
    /// # Errors
    /// If a process stays.
    pub(crate) fn stop(self) -> Outcome {
        self.0.into_iter().try_for_each(Server::stop)
    }
}

fn start(target: &Target, setup: &Setup, options: &Options) -> Outcome<Server> {
    let sandbox = Sandbox::new()?;
    let log = format!("access.log = {}", sandbox.file("access.log").display());
    let setup = if options.access_log { setup.clone().pool(&log) } else { setup.clone() };
    Server::start_in(sandbox, target, &setup)
}

/// While it lives, this thread and what it starts run on one core.
#[derive(Debug)]
pub(crate) struct Pinned(CpuSet);

impl Pinned {
    /// To the last core that this process may use.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub(crate) fn to_one_core() -> Outcome<Self> {
        let me = Pid::from_raw(0);
        let all = sched_getaffinity(me)?;
        let last = (0..CpuSet::count()).rev().find(|core| all.is_set(*core).unwrap_or(false));
        let mut one = CpuSet::new();
        one.set(last.ok_or("no core")?)?;
        sched_setaffinity(me, &one)?;
        Ok(Self(all))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_ends() -> Outcome {
        let cores = || -> Outcome<usize> {
            let set = sched_getaffinity(Pid::from_raw(0))?;
            Ok((0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).count())
        };
        let before = cores()?;
        let pinned = Pinned::to_one_core()?;
        assert_eq!(cores()?, 1);
        drop(pinned);
        assert_eq!(cores()?, before);
        Ok(())
    }
}
