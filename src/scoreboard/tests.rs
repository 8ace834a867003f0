//! The guarantees of a scoreboard to its writers and readers.
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use super::*;
use crate::request::{Description, Stage};
use crate::request_ids::{RequestId, RequestIds, TraceContext};
use crate::sys::shared;

fn board(slots: u32) -> (OwnedFd, Scoreboard) {
    let fd = create(slots).unwrap();
    let board = Scoreboard::map(fd.as_fd(), slots).unwrap();
    (fd, board)
}

fn started(second: u64) -> OwnedFd {
    let fd = Totals::create().unwrap();
    Totals::map(fd.as_fd()).unwrap().set(Counter::Started, second);
    fd
}

fn slot(fd: &OwnedFd, totals: &OwnedFd, slots: u32, index: u32) -> Slot {
    let board = Scoreboard::map(fd.as_fd(), slots).unwrap();
    Slot::new(board, Totals::map(totals.as_fd()).unwrap(), index)
}

#[test]
fn a_worker_and_the_supervisor_see_the_same_slot() {
    let ((fd, ours), counters) = (board(3), started(5));
    let slot = slot(&fd, &counters, 3, 2);
    let totals = Totals::map(counters.as_fd()).unwrap();
    assert!(!ours.is_busy(2) && !slot.drain_asked());
    slot.begin(1);
    slot.count(Counter::Parked);
    ours.ask_to_drain(2);
    assert!(ours.is_busy(2) && !ours.is_busy(1) && slot.drain_asked());
    assert_eq!((totals.get(Counter::Parked), totals.get(Counter::Active)), (1, 1));
    slot.stage(Stage::Idle);
    assert!(!ours.is_busy(2));
    assert_eq!((totals.get(Counter::Active), totals.get(Counter::ActiveMax)), (0, 1));
    ours.reset(2);
    assert!(!slot.drain_asked());
}

/// The words of a memory that the version before the monitor has made.
const FORMER: usize = 24;

#[test]
fn the_memory_of_a_former_version_has_no_place_for_newer_counters() {
    let fd = shared::create("former", FORMER).unwrap();
    let former = Totals::map(fd.as_fd()).unwrap();
    assert!(former.is_smaller());
    former.add(Counter::Requests, 7);
    former.add(Counter::Lost, 7);
    former.ended(200, 1);
    former.waited(1);
    assert_eq!((former.get(Counter::Requests), former.get(Counter::Lost)), (7, 0));
    let view = TotalsView::map(shared::read_only(fd.as_fd()).unwrap().as_fd()).unwrap();
    assert_eq!((view.get(Counter::Requests), view.get(Counter::Lost), view.waits().count()), (7, 0, 0));
    let raw: Vec<u64> =
        (0..FORMER).map(|at| shared::Words::map(fd.as_fd(), FORMER).unwrap().word(at).load(Ordering::SeqCst)).collect();
    assert_eq!(raw.iter().sum::<u64>(), 7, "no other word was written: {raw:?}");
    let mut next = Totals::map(Totals::create().unwrap().as_fd()).unwrap();
    next.carry_on(&former);
    assert!(!next.is_smaller() && next.get(Counter::Requests) == 7);
    assert!(Totals::map(shared::create("less", FORMER - 1).unwrap().as_fd()).is_err());
}

#[test]
fn times_are_counted_by_status_and_go_on_in_another_memory() {
    let fd = Totals::create().unwrap();
    let totals = Totals::map(fd.as_fd()).unwrap();
    for (status, micros) in [(200, 300), (204, 600_000), (404, 300), (500, 300), (199, 1), (600, 1), (0, 1)] {
        totals.ended(status, micros);
    }
    totals.waited(1_000_000);
    let seen = |fd: &OwnedFd| {
        let view = TotalsView::map(shared::read_only(fd.as_fd()).unwrap().as_fd()).unwrap();
        let counts: Vec<u64> = (0..CLASSES.len()).map(|class| view.durations(class).count()).collect();
        (counts, view.durations(1).sum, view.waits().sum)
    };
    assert_eq!(seen(&fd), (vec![3, 2, 0, 1, 1], 600_300, 1_000_000));
    let next = Totals::create().unwrap();
    // One that no process has yet, as that of a pool that gets another user.
    Totals::map_unpublished(next.as_fd(), &[]).unwrap().carry_on(&totals);
    assert_eq!(seen(&next), seen(&fd));
}

#[test]
fn the_end_is_for_one_worker_alone() {
    let (fd, ours) = board(3);
    let theirs = Scoreboard::map(fd.as_fd(), 3).unwrap();
    let ends = || [0, 1, 2].map(|slot| theirs.end(slot).load(Ordering::SeqCst) != 0);
    ours.ask_to_end(1);
    assert_eq!(ends(), [false, true, false]);
    ours.reset(1);
    assert_eq!(ends(), [false; 3], "the next worker of the slot");
}

#[test]
fn who_has_answered_is_free_soon_and_who_is_to_leave_never() {
    let ((fd, ours), counters) = (board(1), started(5));
    let slot = slot(&fd, &counters, 1, 0);
    assert_eq!(ours.readiness(0), Readiness::Free, "it is being made");
    slot.begin(1);
    for stage in [Stage::Reading, Stage::Info, Stage::Running, Stage::Ending, Stage::Finishing] {
        slot.stage(stage);
        assert_eq!(ours.readiness(0), Readiness::Busy, "{stage:?}");
    }
    slot.stage(Stage::Answered);
    assert_eq!(ours.readiness(0), Readiness::Soon);
    slot.stage(Stage::Idle);
    assert_eq!(ours.readiness(0), Readiness::Free);
    ours.ask_to_drain(0);
    assert_eq!(ours.readiness(0), Readiness::Busy);
}

#[test]
fn announced_closing_survives_a_reset_of_the_slot() {
    let ((fd, ours), counters) = (board(3), started(5));
    let slot = slot(&fd, &counters, 3, 2);
    ours.ask_to_drain(2);
    assert_eq!(slot.closing(), None);
    ours.announce_closing(2, 0);
    assert_eq!(slot.closing(), Some(0));
    ours.announce_closing(2, 0x8000_0005);
    ours.reset(2);
    assert_eq!((slot.closing(), slot.drain_asked()), (Some(0x8000_0005), false));
}

#[test]
fn a_snapshot_shows_who_is_there() {
    let ((fd, ours), counters) = (board(4), started(5));
    let totals = Totals::map(counters.as_fd()).unwrap();
    let (first, second) = (slot(&fd, &counters, 4, 1), slot(&fd, &counters, 4, 3));
    assert_eq!(ours.snapshot(&totals).processes, []);
    first.open(10, 6);
    first.stage(Stage::Idle);
    second.open(20, 7);
    second.stage(Stage::Idle);
    second.begin(clock_before());
    let long = [b'x'; 1000];
    let (method, uri, script) = (&b"GET"[..], &b"/a.php"[..], &b"/www/a.php"[..]);
    second.describe(&Description { method, uri, query: &long, user: b"", script, content_length: 17 });
    second.stage(Stage::Running);
    let seen = ours.snapshot(&totals);
    assert_eq!((seen.idle, seen.active, seen.active_max, seen.requests, seen.started), (1, 1, 1, 1, 5));
    let busy = &seen.processes[1];
    assert_eq!((busy.pid, busy.stage, busy.started, busy.requests), (20, Stage::Running, 7, 1));
    assert_eq!(
        (&*busy.method, &*busy.uri, busy.query.len(), &*busy.script),
        (&b"GET"[..], &b"/a.php"[..], 512, &b"/www/a.php"[..])
    );
    assert!(busy.duration >= 1_000_000 && busy.content_length == 17 && busy.memory == 0);
    second.end(Ended { duration: 2000, cpu: 500, memory: 4096, status: 200 });
    second.stage(Stage::Idle);
    let seen = ours.snapshot(&totals);
    let idle = &seen.processes[1];
    assert_eq!((idle.duration, idle.cpu, idle.memory, seen.active_max), (2000, 25.0, 4096, 1));
    assert_eq!(totals.get(Counter::MemoryPeak), 4096);
    second.begin(clock_before());
    second.stage(Stage::Idle);
    let seen = ours.snapshot(&totals);
    let cut = &seen.processes[1];
    assert_eq!((cut.duration, cut.cpu, cut.memory, cut.content_length), (0, 0.0, 0, 0), "it was no whole request");
    ours.reset(3);
    assert_eq!(ours.snapshot(&totals).processes.len(), 1);
}

fn clock_before() -> u64 {
    crate::sys::clock::micros().saturating_sub(1_000_000)
}

fn ids(request: &[u8]) -> RequestIds {
    RequestIds { request: RequestId::accept(request).unwrap(), trace: None }
}

#[test]
fn ids_are_there_while_their_request_is() {
    let ((fd, ours), counters) = (board(3), started(5));
    let (first, last) = (slot(&fd, &counters, 3, 0), slot(&fd, &counters, 3, 2));
    assert_eq!(ours.present_ids(2), None);
    let long = [b'x'; 128];
    let traced = RequestIds { trace: TraceContext::of_numbers((u128::MAX - 1, 7)), ..ids(&long) };
    last.open(20, 7);
    last.begin(1);
    last.identify(Some(&traced));
    assert_eq!((ours.present_ids(2), ours.present_ids(1), ours.present_ids(0)), (Some(traced), None, None));
    assert_eq!(ours.identified_worker(2).unwrap().1, Some(traced));
    last.stage(Stage::Idle);
    assert_eq!(ours.present_ids(2), None, "its request is over");
    last.begin(2);
    last.identify(None);
    assert_eq!(ours.present_ids(2), None, "its parameters have not arrived");
    last.identify(Some(&ids(b"a")));
    first.begin(1);
    first.identify(Some(&ids(b"b")));
    assert_eq!((ours.present_ids(2), ours.present_ids(0)), (Some(ids(b"a")), Some(ids(b"b"))));
    ours.reset(2);
    last.begin(3);
    assert_eq!(ours.present_ids(2), None, "the next worker of the slot");
}

#[test]
fn memory_of_a_former_version_has_no_ids_and_no_fault() {
    // The size of version 0.2: 16 and 128 words a slot.
    let fd = shared::create("cgi-fpm-scoreboard", 144 * 2).unwrap();
    let ours = Scoreboard::map(fd.as_fd(), 2).unwrap();
    let counters = started(5);
    let slot = slot(&fd, &counters, 2, 1);
    slot.open(20, 7);
    slot.begin(1);
    slot.identify(Some(&ids(b"a")));
    assert_eq!((ours.present_ids(1), ours.identified_worker(1).unwrap().1), (None, None));
    assert_eq!(ours.snapshot(&Totals::map(counters.as_fd()).unwrap()).processes.len(), 1);
    ours.reset(1);
    assert!(!ours.is_busy(1));
    // And a former version maps its part of today's memory.
    assert!(shared::Words::map(create(2).unwrap().as_fd(), 144 * 2).is_ok());
}

#[test]
fn a_worker_that_dies_inside_a_request_is_taken_off_once() {
    let totals = Totals::map(Totals::create().unwrap().as_fd()).unwrap();
    totals.enter(2);
    totals.leave();
    totals.leave();
    assert_eq!(totals.get(Counter::Active), 0);
    totals.set(Counter::Active, u64::MAX - 5);
    totals.enter(2);
    assert_eq!(totals.get(Counter::ActiveMax), 2);
}

#[test]
fn counters_that_are_not_published_leave_the_memory_untouched() {
    let fd = Totals::create().unwrap();
    let blocks = || nix::sys::stat::fstat(&fd).unwrap().st_blocks;
    let ours = Totals::map_unpublished(fd.as_fd(), &[]).unwrap();
    ours.set(Counter::Started, 7);
    ours.note_queue(3, 128);
    ours.note_queue(0, 128);
    ours.enter(1);
    assert_eq!((ours.get(Counter::QueueMax), ours.get(Counter::Active), blocks()), (3, 1, 0));
    // The next image of the supervisor takes them over.
    let values = ours.unpublished().unwrap();
    let mut next = Totals::map_unpublished(fd.as_fd(), &values).unwrap();
    assert_eq!((next.get(Counter::Started), next.unpublished(), blocks()), (7, Some(values), 0));
    next.publish();
    next.add(Counter::Requests, 2);
    next.publish();
    let theirs = Totals::map(fd.as_fd()).unwrap();
    let shown = [Counter::Started, Counter::QueueMax, Counter::QueueLimit, Counter::Requests].map(|c| theirs.get(c));
    assert_eq!((shown, next.unpublished()), ([7, 3, 128, 2], None));
    assert!(blocks() > 0);
}

#[test]
fn refusals_are_told_once_a_minute_with_the_number_of_the_others() {
    use crate::sys::clock::Moment;
    let totals = Totals::map(Totals::create().unwrap().as_fd()).unwrap();
    assert_eq!(totals.refuse(Moment::default()), Some(0));
    assert_eq!(totals.refuse(Moment::at_millis(1)), None);
    assert_eq!(totals.refuse(Moment::at_millis(59_999)), None);
    assert_eq!(totals.refuse(Moment::at_millis(60_001)), Some(2));
    assert_eq!(totals.refuse(Moment::at_millis(60_002)), None);
    assert_eq!(totals.refuse(Moment::at_millis(200_000)), Some(1));
}

#[test]
fn a_smaller_or_unsealed_file_is_refused() {
    let (small, _) = board(1);
    assert!(Scoreboard::map(small.as_fd(), 2).is_err());
    let unsealed = shared::file_of("x", &[0; 4096]).unwrap();
    assert!(Scoreboard::map(unsealed.as_fd(), 1).is_err());
}

#[test]
fn the_file_can_not_be_cut_under_its_readers() {
    let (fd, _) = board(1);
    assert!(nix::unistd::ftruncate(&fd, 0).is_err());
}

#[test]
fn a_slot_beyond_the_end_harms_nobody() {
    let (_fd, board) = board(1);
    board.ask_to_drain(1_000_000);
    board.reset(1_000_000);
    assert!(!board.is_busy(0));
}
