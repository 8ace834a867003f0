//! The monitor: answers HTTP requests about all pools, from memory that it can read and not write. It is the program in another role,
//! without PHP, with a user of its own, without files, and with few system calls. It waits for no other process, so it answers while all
//! workers are busy; and no process waits for it.
#![forbid(unsafe_code)]

mod answer;
mod connection;
mod event_loop;
mod families;
mod health;
mod http;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod overview;
mod pool_numbers;
mod samples;
mod views;

use std::io;
use std::os::fd::AsFd;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

use crate::exit::ExitCode;
use crate::ipc::{Channel, MonitorSpec};
use crate::log::{self, messages::monitor as messages};
use crate::scoreboard::ServiceView;
use crate::sys::confine::{Confined, confine};
use crate::sys::{capabilities, idle_memory, ids, inherited, local_time, process, title};
use answer::Answers;
use event_loop::EventLoop;
use overview::About;
use views::Views;

/// Connections at a time. The oldest one ends when another one comes.
const CONNECTIONS: usize = 128;
/// Descriptors: connections, two memories of a pool until they are mapped, and what is always open.
const DESCRIPTORS: u64 = 512;

/// Runs the monitor until the supervisor closes its way of messages. Returns the exit status.
pub(crate) fn run(spec: MonitorSpec) -> i32 {
    title::set("php-fpm: monitor");
    log::set_level(spec.log_level);
    log::set_format(spec.log_format);
    match try_run(spec) {
        Ok(()) => ExitCode::Ok.status(),
        Err(e) => {
            log::say(&messages::monitor_failed(e));
            ExitCode::Software.status()
        }
    }
}

fn try_run(spec: MonitorSpec) -> io::Result<()> {
    let listener = inherited::adopt(spec.listen_fd)?;
    let views = Channel::new(inherited::adopt(spec.views_fd)?);
    let service = ServiceView::map(inherited::adopt(spec.service_fd)?.as_fd())?;
    // Counted now: files cannot be opened later.
    let cores = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    let answers = Answers::new(spec.unix, spec.allowed_hosts, About { php: spec.php, cores });
    let event_loop = EventLoop::new(listener, views, Views::new(service), answers, CONNECTIONS)?;
    if let Some(identity) = &spec.identity {
        ids::become_identity(identity, "monitor", &[]).map_err(io::Error::other)?;
    } else {
        capabilities::drop_all()?;
    }
    // After the change of user, which resets both.
    process::set_dumpable(false)?;
    process::die_with_parent(Signal::SIGKILL)?;
    limit_resources()?;
    // Read now: files cannot be opened later. And most pages of the program were needed for the start only.
    local_time::renew_zone();
    idle_memory::release_files();
    let confined = confine()?;
    say_confined(confined);
    event_loop.run()
}

/// Whatever it is brought to do, it writes no file, and starts no process.
fn limit_resources() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    Ok(setrlimit(Resource::RLIMIT_CORE, 0, 0)?)
}

fn say_confined(Confined { paths, calls }: Confined) {
    let missing = [(paths, "Landlock"), (calls, "seccomp")].into_iter().filter(|(is_there, _)| !is_there);
    let missing: Vec<&str> = missing.map(|(_, name)| name).collect();
    if !missing.is_empty() {
        log::say(&messages::monitor_less_confined(missing.join(" and ")));
    }
}
