//! Which sockets stay open, and when their options change.

use std::os::fd::OwnedFd;

use super::*;
use crate::config::LoadOptions;
use crate::supervisor::sockets::SocketNames;

fn id(number: u32) -> GenerationId {
    GenerationId(number)
}

/// Sockets named by these generations.
fn sockets(owners: &[&[u32]]) -> (Sockets, Vec<RawFd>) {
    let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let all = owners.iter().enumerate().map(|(at, ids)| {
        let listener = Listener::inherited(format!("name{at}"), file());
        ids.iter().fold(listener, |listener, number| listener.named_by(id(*number)))
    });
    let mut sockets = Sockets::default();
    sockets.all.extend(all);
    let fds = sockets.all.iter().map(|l| l.fd.as_raw_fd()).collect();
    (sockets, fds)
}

fn pool(listen: &[String]) -> PoolConfig {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("php-fpm.conf");
    std::fs::write(
        &file,
        "[global]\nerror_log = /dev/null\n[www]\nlisten = 9000\npm = static\npm.max_children = 1\nlisten.mode = 0600\n",
    )
    .unwrap();
    let options = LoadOptions { allow_root: true, ..LoadOptions::default() };
    let mut pool = config::load(&file, &options).unwrap().config.pools.remove(0);
    pool.listen = listen.iter().map(|path| ListenAddr::Unix(path.into())).collect();
    pool
}

/// Opens the sockets of a pool, as the preparation of its group does.
fn opened(sockets: &mut Sockets, claim: Claim<'_>, pool: &PoolConfig) -> Result<Vec<RawFd>, SocketError> {
    let pools = std::slice::from_ref(pool);
    let mut openings = Openings::of(pools, SocketNames::look_up(pools).unwrap())?;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let done = openings.advance(sockets, claim, until).and_then(|over| {
        assert!(over);
        sockets.open(claim, pool, &mut openings)
    });
    sockets.abandon(openings);
    done
}

/// All pools have the same user.
fn claim(owner: GenerationId, leaves: &dyn Fn(GenerationId) -> bool) -> Claim<'_> {
    Claim { owner, leaves, is_foreign: &|_, _, _| false, user: &|_| Some(1) }
}

fn names(sockets: &Sockets) -> Vec<&str> {
    sockets.all.iter().map(|l| l.name.as_str()).collect()
}

#[test]
fn sockets_that_close_have_a_bit() {
    let (mut sockets, fds) = sockets(&[&[1, 3], &[1], &[1, 2], &[1, 2]]);
    sockets.leave(&[id(1)]);
    assert_eq!(sockets.closing(&fds, false), 0b0010);
    sockets.leave(&[id(2)]);
    assert_eq!(sockets.closing(&fds, false), 0b1110);
    assert_eq!(sockets.closing(&fds, true), 0b1111);
    sockets.all[3].passed = true;
    assert_eq!(sockets.closing(&fds, false), 0b0110);
    assert_eq!(sockets.closing(&[fds[3], fds[1]], true), 0b0010, "by their place in the pool");
}

#[test]
fn from_the_32nd_on_all_close_or_none() {
    let (mut sockets, fds) = sockets(&[[1].as_slice(); 40]);
    sockets.leave(&[id(1)]);
    assert_eq!(sockets.closing(&fds, false), u32::MAX);
    sockets.all[35].owners.push(Owner::new(id(2), String::new()));
    assert_eq!(sockets.closing(&fds, false), u32::MAX >> 1);
    assert_eq!(sockets.closing(&fds[..31], false), u32::MAX >> 1);
}

#[test]
fn a_socket_closes_when_no_generation_names_it_any_more() {
    let (mut sockets, _) = sockets(&[&[1, 2], &[1], &[], &[2]]);
    sockets.drop_owner(id(1));
    assert_eq!(names(&sockets), ["name0", "name2", "name3"], "one that no generation has named yet stays");
    sockets.drop_owner(id(2));
    assert_eq!(names(&sockets), ["name2"]);
    sockets.close_unnamed(&[pool(&["name2".into()])]);
    assert_eq!(names(&sockets), ["name2"]);
    sockets.close_unnamed(&[pool(&["/other".into()])]);
    assert!(names(&sockets).is_empty());
}

#[test]
fn a_generation_that_cannot_start_changes_nothing_for_others() {
    let place = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| place.path().join(name).display().to_string());
    let mut sockets = Sockets::default();
    let first = claim(id(1), &|_| false);
    let fds = opened(&mut sockets, first, &pool(&[a.clone(), b.clone()])).unwrap();
    sockets.serve(id(1));
    // The second one takes `a`, opens `c`, and gets a new socket at `b`, whose file has gone.
    std::fs::remove_file(&b).unwrap();
    let second = claim(id(2), &|owner| owner == id(1));
    let theirs = opened(&mut sockets, second, &pool(&[a.clone(), b.clone(), c.clone()])).unwrap();
    assert!(theirs[0] == fds[0] && theirs[1] != fds[1] && std::fs::exists(&c).unwrap());
    sockets.withdraw(id(2));
    assert_eq!(names(&sockets), [a.as_str(), b.as_str()]);
    assert!(std::fs::exists(&a).unwrap() && !std::fs::exists(&b).unwrap() && !std::fs::exists(&c).unwrap());
    // The next one again gets a new socket at `b`.
    let third = claim(id(3), &|owner| owner == id(1));
    assert_ne!(opened(&mut sockets, third, &pool(std::slice::from_ref(&b))).unwrap(), [fds[1]]);
    sockets.serve(id(3));
    sockets.drop_owner(id(1));
    assert_eq!(names(&sockets), [b.as_str()]);
    assert!(!std::fs::exists(&a).unwrap() && std::fs::exists(&b).unwrap());
}

#[test]
fn a_socket_whose_directory_comes_back_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let [dir, away] = ["d", "away"].map(|name| place.path().join(name));
    std::fs::create_dir(&dir).unwrap();
    let pool = pool(&[dir.join("s").display().to_string()]);
    let mut sockets = Sockets::default();
    let fds = opened(&mut sockets, claim(id(1), &|_| false), &pool).unwrap();
    sockets.serve(id(1));
    let next = claim(id(2), &|owner| owner == id(1));
    std::fs::rename(&dir, &away).unwrap();
    assert!(opened(&mut sockets, next, &pool).is_err());
    sockets.withdraw(id(2));
    std::fs::rename(&away, &dir).unwrap();
    assert_eq!(opened(&mut sockets, next, &pool).unwrap(), fds);
}

#[test]
fn an_address_belongs_to_one_pool_at_a_time() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("s").display().to_string();
    let mut sockets = Sockets::default();
    let fds = opened(&mut sockets, claim(id(1), &|_| false), &pool(std::slice::from_ref(&path))).unwrap();
    let stays = claim(id(2), &|_| false);
    let refused = opened(&mut sockets, stays, &pool(std::slice::from_ref(&path))).unwrap_err();
    assert!(matches!(refused, SocketError::NamedTwice { .. }), "{refused}");
    let twice = claim(id(2), &|owner| owner == id(1));
    assert!(opened(&mut sockets, twice, &pool(&[path.clone(), path.clone()])).is_err());
    sockets.withdraw(id(2));
    // It may move to a pool of a generation that takes over: same socket, same queue.
    assert_eq!(opened(&mut sockets, twice, &pool(&[path])).unwrap(), fds);
}

#[test]
fn options_are_applied_when_their_generation_serves() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("s").display().to_string();
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let mut sockets = Sockets::default();
    let first = pool(std::slice::from_ref(&path));
    opened(&mut sockets, claim(id(1), &|_| false), &first).unwrap();
    assert_eq!(mode(), 0o600);
    for (number, listen_mode) in [(2, 0o660), (3, 0o666)] {
        let next = PoolConfig { listen_mode, ..first.clone() };
        opened(&mut sockets, claim(id(number), &|owner| owner < id(number)), &next).unwrap();
        assert_eq!(mode(), 0o600);
    }
    sockets.withdraw(id(2));
    assert_eq!(mode(), 0o600);
    sockets.serve(id(3));
    assert_eq!(mode(), 0o666);
}
