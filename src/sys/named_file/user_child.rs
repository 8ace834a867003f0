//! A short-lived child that becomes the owner of a place and does there what is to be done: what that user may not do is not
//! done, and what hangs there hangs the child. It has no capability and no descriptor but those that it needs, nobody can
//! look into it, and it has a time limit.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag};
use nix::sys::wait::Id;
use nix::unistd::{Pid, Uid, User};
use parking_lot::Mutex;

use super::statx::statx;
use super::walk::{Controller, Entry, directory, names, refuse_foreign_mount};
use super::{Answer, Op, time_limit};
use crate::sys::ids::{self, Identity};
use crate::sys::proc_stat::{self, Origin};
use crate::sys::process::{self, Forked};
use crate::sys::{fd, message, pidfd, single_threaded, socket};

/// One that has answered ends by itself, one that is killed at once, unless a mount keeps it.
const LAST_MOMENT: Duration = Duration::from_millis(10);

/// How often it is looked whether one has been stopped.
const GLANCE: Duration = Duration::from_millis(25);

/// How long a user is known: asking for groups takes longer than all else that a child does.
const ACQUAINTANCE: Duration = Duration::from_secs(10);
/// A user of more groups is asked for each time.
const MOST_GROUPS: usize = 256;

/// Who users are, as children have found out, and when.
static KNOWN: Mutex<BTreeMap<u32, (Instant, Identity)>> = Mutex::new(BTreeMap::new());

/// A child at work.
#[derive(Debug)]
pub(super) struct UserChild {
    pid: Pid,
    child: Option<pidfd::Process>,
    origin: Option<Origin>,
    channel: OwnedFd,
    user: u32,
    limit: Duration,
    deadline: Instant,
}

/// What it has come to.
#[derive(Debug)]
pub(super) enum Report {
    /// It is done.
    Done(Answer),
    /// The way leads on through a directory of somebody else's.
    Elsewhere(OwnedFd, PathBuf),
}

impl UserChild {
    /// Starts one for that user, in a directory that is held open.
    pub(super) fn start(user: u32, dir: &OwnedFd, rest: &Path, keep: &[RawFd], op: &Op) -> io::Result<Self> {
        let (ours, theirs) = message::pair()?;
        let known = known(user);
        match single_threaded::fork()? {
            Forked::Child => work(user, known, (dir, rest), keep, op, &theirs),
            Forked::Parent(pid) => {
                let limit = time_limit::limit_of(user);
                let child = pidfd::Process::open(pid).ok();
                let origin = proc_stat::origin(pid);
                Ok(Self { pid, child, origin, channel: ours, user, limit, deadline: Instant::now() + limit })
            }
        }
    }

    /// What it has come to, if it has by then.
    pub(super) fn report(&self, until: Option<Instant>) -> Option<io::Result<Report>> {
        let until = until.unwrap_or_else(Instant::now).min(self.deadline);
        let (answered, stopped) = self.wait(until);
        if answered != Ok(false) || stopped || Instant::now() >= self.deadline {
            time_limit::charge(self.user, (Instant::now() + self.limit).saturating_duration_since(self.deadline));
        }
        match answered {
            Ok(true) => Some(receive(&self.channel).and_then(|(identity, report)| {
                if let Some(identity) = identity.filter(|identity| identity.uid == self.user) {
                    KNOWN.lock().insert(self.user, (Instant::now(), identity));
                }
                report
            })),
            Ok(false) if stopped => {
                let text =
                    format!("user {} has stopped the process that was to look there, which is killed", self.user);
                Some(Err(io::Error::other(text)))
            }
            Ok(false) if Instant::now() < self.deadline => None,
            Ok(false) => {
                let text = format!(
                    "a directory of user {} did not answer within {} ms: is there a mount that hangs?",
                    self.user,
                    self.limit.as_millis()
                );
                Some(Err(io::Error::other(text)))
            }
            Err(e) => Some(Err(e.into())),
        }
    }
}

impl UserChild {
    /// Whether it has answered by then, or its user has stopped it, which is not waited for.
    fn wait(&self, until: Instant) -> (Result<bool, nix::errno::Errno>, bool) {
        loop {
            let answered = socket::await_input(&self.channel, until.min(Instant::now() + GLANCE));
            if answered != Ok(false) {
                return (answered, false);
            }
            let stopped = match &self.child {
                Some(child) => child.was_stopped(),
                None => process::has_been_stopped(Id::Pid(self.pid)),
            };
            if stopped || Instant::now() >= until {
                return (answered, stopped);
            }
        }
    }
}

impl Drop for UserChild {
    /// Its user may have stopped it, and a hanging mount may keep it for longer: it isn't waited for. What is left is
    /// reaped with whatever child ends next.
    fn drop(&mut self) {
        match &self.child {
            Some(child) => {
                let _ = child.signal(Signal::SIGKILL);
                if child.ends_within(LAST_MOMENT) {
                    child.reap();
                }
            }
            // Where filters refuse pidfds: the number may be another's by now.
            None if self.origin.is_some() && proc_stat::origin(self.pid) == self.origin => {
                process::kill(self.pid, Signal::SIGKILL);
            }
            None => {}
        }
    }
}

fn known(user: u32) -> Option<Identity> {
    let mut known = KNOWN.lock();
    known.retain(|_, (when, _)| when.elapsed() < ACQUAINTANCE);
    known.get(&user).map(|(_, identity)| identity.clone())
}

fn work(
    user: u32,
    known: Option<Identity>,
    (dir, rest): (&OwnedFd, &Path),
    keep: &[RawFd],
    op: &Op,
    channel: &OwnedFd,
) -> ! {
    let _ = process::set_dumpable(false);
    // SAFETY: this is a forked child that ends below by `exit_now`. It uses only these descriptors, and the operation only those of
    // `keep`, as `Task::start` asks for.
    unsafe { fd::close_all_but(&[keep, &[dir.as_raw_fd(), channel.as_raw_fd()]].concat()) };
    let found_out = known.is_none();
    let identity = known.unwrap_or_else(|| look_up(user));
    let report = become_user(&identity).and_then(|()| go(user, dir, rest)).and_then(|way| match way {
        Way::Here(entry) => op(&entry).map(Report::Done),
        Way::Elsewhere(dir, rest) => Ok(Report::Elsewhere(dir, rest)),
    });
    let (bytes, file) = encode(Some(&identity).filter(|_| found_out), report);
    let file: Vec<BorrowedFd<'_>> = file.iter().map(AsFd::as_fd).collect();
    let sent = message::send(channel, &bytes, &file);
    process::exit_now(i32::from(sent.is_err()))
}

/// The user's database may be a server that doesn't answer; here that has its time limit, too.
fn look_up(user: u32) -> Identity {
    let entry = User::from_uid(Uid::from_raw(user)).ok().flatten();
    // One without an entry gets no group that means anything.
    const NOGROUP: u32 = 65534;
    let gid = entry.as_ref().map_or(NOGROUP, |entry| entry.gid.as_raw());
    let name = entry.map(|entry| entry.name).unwrap_or_default();
    Identity { uid: user, gid, groups: ids::supplementary(&name, gid) }
}

fn become_user(identity: &Identity) -> io::Result<()> {
    let user = identity.uid;
    ids::become_identity(identity, &user.to_string(), &[]).map_err(|e| {
        io::Error::other(format!(
            "its directory belongs to user {user}, and nothing can be done there as that user: {e}"
        ))
    })?;
    // The change of user can have made it so again.
    process::set_dumpable(false)?;
    process::die_with_parent(Signal::SIGKILL)
}

/// Where the rest of a path leads.
enum Way {
    Here(Entry),
    Elsewhere(OwnedFd, PathBuf),
}

/// Goes down real directories of this user's. At a directory of somebody else's the supervisor has to decide; links are
/// followed with this user's rights, and to no open file of a process.
fn go(user: u32, dir: &OwnedFd, rest: &Path) -> io::Result<Way> {
    let mut left = names(rest);
    let mut dir = dir.try_clone()?;
    let entry = |dir: OwnedFd, name: OsString, linked| {
        Way::Here(Entry {
            dir: Some(dir),
            name: name.into(),
            controller: Controller::User(user),
            magic: false,
            linked,
            through: false,
        })
    };
    loop {
        let name = left.pop_front().unwrap_or_else(|| ".".into());
        if left.is_empty() {
            return Ok(entry(dir, name, false));
        }
        if name == ".." || statx(&dir, &name)?.is(SFlag::S_IFLNK) {
            left.push_front(name);
            let last = left.pop_back().unwrap_or_default();
            let dir = by_links(dir.as_fd(), &left.iter().collect::<PathBuf>())?;
            refuse_foreign_mount(&dir, &statx(&dir, OsStr::new(""))?)?;
            return Ok(entry(dir, last, true));
        }
        dir = directory(dir.as_fd(), &name)?;
        let seen = statx(&dir, OsStr::new(""))?;
        refuse_foreign_mount(&dir, &seen)?;
        if seen.uid != user {
            return Ok(Way::Elsewhere(dir, left.iter().collect()));
        }
    }
}

fn by_links(at: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(at, path, how) {
        // An old kernel has no such call, and an old container's filter refuses it. There is nothing in this process that
        // those links could open.
        Err(nix::errno::Errno::ENOSYS | nix::errno::Errno::EPERM) => Ok(openat(at, path, flags, Mode::empty())?),
        opened => Ok(opened?),
    }
}

const DONE: u8 = 0;
const ELSEWHERE: u8 = 1;
const FAILED: u8 = 2;
/// A path or a text, and a user's groups.
const MOST: usize = 8192;

/// A packet: what kind of report, a number, how many words, these (user, group, groups), a path or text.
fn encode(identity: Option<&Identity>, report: io::Result<Report>) -> (Vec<u8>, Option<OwnedFd>) {
    let words = identity.filter(|identity| identity.groups.len() <= MOST_GROUPS);
    let words =
        words.map(|identity| [&[identity.uid, identity.gid], &identity.groups[..]].concat()).unwrap_or_default();
    let packet = |kind: u8, number: u32, text: &[u8]| {
        let count = u32::try_from(words.len()).unwrap_or(0);
        let numbers = [number, count].into_iter().chain(words.iter().copied()).flat_map(u32::to_ne_bytes);
        [&[kind], &numbers.collect::<Vec<_>>()[..], text].concat()
    };
    match report {
        Ok(Report::Done(Answer { file, note })) => (packet(DONE, note, b""), file),
        Ok(Report::Elsewhere(dir, rest)) => (packet(ELSEWHERE, 0, rest.as_os_str().as_bytes()), Some(dir)),
        Err(e) => match e.raw_os_error() {
            Some(code) => (packet(FAILED, code.cast_unsigned(), b""), None),
            None => (packet(FAILED, 0, e.to_string().as_bytes()), None),
        },
    }
}

fn receive(channel: &OwnedFd) -> io::Result<(Option<Identity>, io::Result<Report>)> {
    let mut buffer = [0; MOST];
    let lost = || io::Error::other("the process that was to look there ended without an answer");
    let (length, file) = message::receive_one(channel, &mut buffer)?.ok_or_else(lost)?;
    let (kind, mut rest) = buffer.get(..length).and_then(<[u8]>::split_first).ok_or_else(lost)?;
    let number = word(&mut rest).ok_or_else(lost)?;
    let count = word(&mut rest).ok_or_else(lost)?;
    let words: Vec<u32> = (0..count).map_while(|_| word(&mut rest)).collect();
    let identity = match words.as_slice() {
        [uid, gid, groups @ ..] => Some(Identity { uid: *uid, gid: *gid, groups: groups.to_vec() }),
        _ => None,
    };
    let report = match (*kind, file) {
        (DONE, file) => Ok(Report::Done(Answer { file, note: number })),
        (ELSEWHERE, Some(dir)) => Ok(Report::Elsewhere(dir, OsString::from_vec(rest.to_vec()).into())),
        (FAILED, _) if number != 0 => Err(io::Error::from_raw_os_error(number.cast_signed())),
        (FAILED, _) => Err(io::Error::other(String::from_utf8_lossy(rest).into_owned())),
        _ => Err(lost()),
    };
    Ok((identity, report))
}

fn word(bytes: &mut &[u8]) -> Option<u32> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reported_arrives() {
        let (ours, theirs) = message::pair().unwrap();
        let bob = Identity { uid: 2002, gid: 100, groups: vec![100, 33] };
        let pass = |identity: Option<&Identity>, report| {
            let (bytes, file) = encode(identity, report);
            message::send(&theirs, &bytes, &file.iter().map(AsFd::as_fd).collect::<Vec<_>>()).unwrap();
            receive(&ours).unwrap()
        };
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let done = pass(None, Ok(Report::Done(Answer { file: Some(file()), note: 7 })));
        assert!(matches!(done, (None, Ok(Report::Done(Answer { file: Some(_), note: 7 })))), "{done:?}");
        let (identity, report) = pass(Some(&bob), Ok(Report::Elsewhere(file(), "a/b".into())));
        assert!(matches!(&report, Ok(Report::Elsewhere(_, rest)) if rest.as_os_str() == "a/b"), "{report:?}");
        assert_eq!(identity, Some(bob.clone()));
        let many = Identity { groups: (0..1000).collect(), ..bob };
        let (identity, report) = pass(Some(&many), Err(io::Error::from_raw_os_error(libc::EACCES)));
        assert_eq!((identity, report.unwrap_err().raw_os_error()), (None, Some(libc::EACCES)));
        assert_eq!(pass(None, Err(io::Error::other("why"))).1.unwrap_err().to_string(), "why");
        drop(theirs);
        assert!(receive(&ours).is_err());
    }
}
