//! The monitor: answers HTTP requests about all pools, from memory that it can read and not write. It is the program in another role,
//! without PHP, with a user of its own, without files, and with few system calls. It waits for no other process, so it answers while all
//! workers are busy; and no process waits for it.
#![forbid(unsafe_code)]

mod abandoned;
mod answer;
mod connection;
mod detail;
mod event_loop;
mod exporters;
mod families;
mod group_families;
mod health;
mod http;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod overview;
mod page;
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
use crate::sys::confine::{Missing, confine};
use crate::sys::failure::reason;
use crate::sys::ids::{self, Identity};
use crate::sys::{capabilities, idle_memory, inherited, local_time, process, title, unused_user};
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
    let answers =
        Answers::new(spec.unix, spec.allowed_hosts, About { php: spec.php, cores, shows_requests: spec.show_requests });
    let event_loop = EventLoop::new(listener, views, Views::new(service), answers, CONNECTIONS)?;
    let stays_root = spec.changes_user && !change_user()?;
    if !spec.changes_user {
        capabilities::drop_all()?;
    }
    // After the change of user, which resets both.
    process::set_dumpable(false)?;
    process::die_with_parent(Signal::SIGKILL)?;
    limit_resources()?;
    // Read now: files cannot be opened later. And most pages of the program were needed for the start only.
    local_time::renew_zone();
    idle_memory::release_files();
    let missing = confine();
    if let Some(missing) = missing.calls.as_ref().filter(|_| stays_root) {
        return Err(io::Error::other(format!(
            "there is no other user id, and without seccomp ({}) it must not run as root",
            reason(missing)
        )));
    }
    say_missing(&missing);
    event_loop.run()
}

/// Becomes a user that no other process has. False: there is none in this user namespace, which may have a single id. Then the user stays,
/// without its capabilities, and the caller must see to it that it can open no file of that user.
fn change_user() -> io::Result<bool> {
    match unused_user::find(&[]) {
        Some(id) => {
            let identity = Identity { uid: id, gid: id, groups: vec![id] };
            ids::become_identity(&identity, "monitor", &[]).map_err(io::Error::other)?;
            Ok(true)
        }
        None => {
            log::say(&messages::monitor_stays_root());
            capabilities::drop_all_but(&std::collections::HashSet::new())?;
            Ok(false)
        }
    }
}

/// Whatever it is brought to do, it writes no file, and starts no process.
fn limit_resources() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    Ok(setrlimit(Resource::RLIMIT_CORE, 0, 0)?)
}

fn say_missing(Missing { paths, calls }: &Missing) {
    let missing = [("Landlock", paths), ("seccomp", calls)].into_iter();
    let missing: Vec<String> =
        missing.filter_map(|(name, why)| Some(format!("{name} ({})", reason(why.as_ref()?)))).collect();
    if !missing.is_empty() {
        log::say(&messages::monitor_less_confined(missing.join(" and ")));
    }
}
