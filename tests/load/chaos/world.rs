//! The server under chaos: 20 pools of 10 users, their configuration, and what all threads share.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use testkit::Outcome;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;

use super::journal::Journal;

/// The number of users; each has two pools.
pub(super) const OWNERS: usize = 10;
/// The user who attacks the others.
pub(super) const ATTACKER: usize = OWNERS - 1;
/// The uid of the first user. Each user has a second uid for changes of a pool's user.
const UIDS: [usize; 2] = [3300, 3400];

/// What a pool is asked for: it tells who it is and which settings it has.
const PAGE: &str = r"<?php
$body = file_get_contents('php://input');
if ($_GET['ms']) {
    for ($end = hrtime(true) + $_GET['ms'] * 1_000_000; hrtime(true) < $end;) {
        usleep(max(1, intdiv($end - hrtime(true), 1000) + 1));
    }
}
echo implode(' ', [$_GET['n'], getenv('POOL'), posix_getuid(), getenv('MARK'), get_cfg_var('chaos.ini') === false ? '-' : get_cfg_var('chaos.ini'),
    strlen($body), getmypid()]);
";

/// A pool as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Which of its user's two uids.
    pub(super) second_uid: bool,
    /// Which of its two sockets.
    pub(super) second_socket: bool,
    /// A value that its scripts print.
    pub(super) mark: u32,
    /// A value of its php.ini that its scripts print.
    pub(super) ini: u32,
    /// Further lines.
    pub(super) more: String,
}

/// A pool.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) owner: usize,
    /// Where clients connect, the first one that exists.
    pub(super) addresses: Mutex<Vec<PathBuf>>,
}

/// Everything that the threads share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) target: Target,
    pub(super) server: Server,
    pub(super) pools: Vec<Pool>,
    pub(super) journal: Journal,
    /// Ends the threads that do harm.
    pub(super) calm: AtomicBool,
    /// Ends the clients.
    pub(super) over: AtomicBool,
    /// A reload is under way.
    pub(super) reloading: AtomicBool,
    pub(super) seed: u64,
}

impl Pool {
    fn new(number: usize, dir: &Path) -> Self {
        let name = format!("p{number}");
        let first = dir.join(format!("{name}-0.sock"));
        Self { number, owner: number / 2, addresses: Mutex::new(vec![first]), name }
    }

    /// The socket of a configuration.
    pub(super) fn socket(&self, dir: &Path, wanted: &Wanted) -> PathBuf {
        dir.join(format!("{}-{}.sock", self.name, u8::from(wanted.second_socket)))
    }

    pub(super) fn uid(&self, wanted: &Wanted) -> usize {
        UIDS[usize::from(wanted.second_uid)] + self.owner
    }

    /// What the page prints, except for the request's own number.
    pub(super) fn expected(&self, wanted: &Wanted) -> String {
        let ini = self.ini_file().map_or_else(|| "-".to_owned(), |_| wanted.ini.to_string());
        format!("{} {} mark{} {ini}", self.name, self.uid(wanted), wanted.mark)
    }

    /// The php.ini of the pool: of both pools of a user, so that they stay one group, or of one of them.
    fn ini_file(&self) -> Option<String> {
        match self.owner {
            0..5 => Some(format!("u{}.ini", self.owner)),
            _ => (self.number % 2 == 1).then(|| format!("{}.ini", self.name)),
        }
    }

    /// Whether the two have the same php.ini.
    pub(super) fn shares_ini(&self, other: &Self) -> bool {
        self.ini_file().is_some() && self.ini_file() == other.ini_file()
    }

    /// Whether it has a php.ini.
    pub(super) fn has_ini(&self) -> bool {
        self.ini_file().is_some()
    }

    pub(super) fn set_addresses(&self, addresses: Vec<PathBuf>) {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    pub(super) fn addresses(&self) -> Vec<PathBuf> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn section(&self, dir: &Path, wanted: &Wanted) -> String {
        let (name, uid) = (&self.name, self.uid(wanted));
        let mut text =
            format!("[{name}]\nuser = {uid}\ngroup = {uid}\nlisten = {}\n", self.socket(dir, wanted).display());
        let _ = writeln!(text, "listen.mode = 0666\ncatch_workers_output = yes\nenv[POOL] = {name}");
        // Not a php_admin_value: PHP's optimizer stores its value in the cached code, which pools of a group share.
        let _ = writeln!(text, "env[MARK] = mark{}", wanted.mark);
        text.push_str(match self.number % 5 {
            0 | 1 => "pm = static\npm.max_children = 2\npm.max_requests = 300\n",
            2 | 3 => {
                "pm = dynamic\npm.max_children = 3\npm.start_servers = 1\npm.min_spare_servers = 1\npm.max_spare_servers = 2\n"
            }
            _ => "pm = ondemand\npm.max_children = 3\npm.process_idle_timeout = 1s\n",
        });
        if self.number.is_multiple_of(3) {
            let _ = writeln!(text, "access.log = {}/{name}.access.log", dir.display());
        }
        if let Some(file) = self.ini_file() {
            let _ = writeln!(text, "process.php_ini = {}/{file}", dir.display());
        }
        text.push_str(&wanted.more);
        text
    }
}

/// The uids of a user.
pub(super) fn owner_of(uid: usize) -> Option<usize> {
    UIDS.into_iter().find_map(|first| uid.checked_sub(first).filter(|owner| *owner < OWNERS))
}

impl World {
    /// The server, started with the first configuration.
    pub(super) fn start(target: Target, seed: u64) -> Outcome<(Self, Vec<Wanted>)> {
        let sandbox = Sandbox::new()?;
        sandbox.put("www/chaos.php", PAGE)?;
        // Scripts of all users write bodies of forms there.
        fs::set_permissions(sandbox.file("out"), fs::Permissions::from_mode(0o1777))?;
        sandbox.put("www/attack.php", super::attacker::PAGE)?;
        let dir = sandbox.path().to_owned();
        let pools: Vec<Pool> = (0..OWNERS * 2).map(|number| Pool::new(number, &dir)).collect();
        let first = Wanted { second_uid: false, second_socket: false, mark: 0, ini: 0, more: String::new() };
        let wanted = vec![first; pools.len()];
        write_inis(&sandbox, &target, &pools, &wanted)?;
        let address = Address::Unix(dir.join("p0-0.sock"));
        let setup = Setup::new(1).whole(&conf(&dir, &pools, &wanted));
        let server = Server::start_at(address, sandbox, &target, &setup)?;
        let world = Self {
            target,
            server,
            pools,
            journal: Journal::new(),
            calm: AtomicBool::new(false),
            over: AtomicBool::new(false),
            reloading: AtomicBool::new(false),
            seed,
        };
        Ok((world, wanted))
    }

    pub(super) fn dir(&self) -> &Path {
        self.server.sandbox.path()
    }

    /// Writes the files that a reload will read.
    pub(super) fn write(&self, wanted: &[Wanted]) -> Outcome {
        write_inis(&self.server.sandbox, &self.target, &self.pools, wanted)?;
        self.server.sandbox.put("fpm.conf", &conf(self.dir(), &self.pools, wanted))
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Sleeps, but not beyond the end.
    pub(super) fn sleep(&self, time: Duration) {
        let step = Duration::from_millis(20);
        let mut left = time;
        while !self.is_calm() && !left.is_zero() {
            std::thread::sleep(left.min(step));
            left = left.saturating_sub(step);
        }
    }

    /// The supervisor's logs, the rotated ones first.
    pub(super) fn logs(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = fs::read_dir(self.dir())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("fpm.log")))
            .collect();
        all.sort_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
        all
    }
}

fn conf(dir: &Path, pools: &[Pool], wanted: &[Wanted]) -> String {
    let mut text = format!("[global]\npid = {0}/fpm.pid\nerror_log = {0}/fpm.log\n", dir.display());
    text.push_str("process_control_timeout = 10s\nemergency_restart_threshold = 10\nemergency_restart_interval = 1m\nlog_level = debug\n");
    text.extend(pools.iter().zip(wanted).map(|(pool, wanted)| pool.section(dir, wanted)));
    text
}

fn write_inis(sandbox: &Sandbox, target: &Target, pools: &[Pool], wanted: &[Wanted]) -> Outcome {
    let common = Setup::new(1).php_ini(target, sandbox.path());
    for (pool, wanted) in pools.iter().zip(wanted) {
        if let Some(file) = pool.ini_file() {
            sandbox.put(&file, &format!("{common}chaos.ini = {}\n", wanted.ini))?;
        }
    }
    Ok(())
}
