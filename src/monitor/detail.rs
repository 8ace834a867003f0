//! The workers of a pool and its running requests. How many are told is limited, so that no answer takes long.

use super::overview::{rounded, seconds};
use super::views::Views;
use crate::ipc::PoolView;
use crate::overview::{Pool, PoolDetail, Running, Slot, SlotState};
use crate::request::Stage;
use crate::scoreboard::{BoardView, RunningView, SlotView};
use crate::sys::clock;

/// The most workers that are told of, and the most requests.
const MOST: usize = 1000;
const MOST_RUNNING: usize = 200;

/// A pool of the overview with its workers; with its requests, if they may be shown.
pub(super) fn detail(pool: Pool, views: &Views, shows_requests: bool) -> PoolDetail {
    let (micros, wall) = (clock::micros(), clock::wall_seconds());
    let boards = views.boards(&pool.name);
    let all = || boards.iter().flat_map(|(view, board)| board.workers().map(move |worker| (*view, *board, worker)));
    let slots: Vec<Slot> = all().take(MOST).map(|(view, _, worker)| slot(view, worker, micros, wall)).collect();
    let slots_left_out = all().count().saturating_sub(MOST) as u64;
    let running = shows_requests.then(|| {
        let mut busy: Vec<_> = all().filter(|(.., worker)| is_busy(worker.stage)).collect();
        // The longest first. What a worker says about the future is nothing.
        busy.sort_by_key(|(.., worker)| worker.since.min(micros));
        busy.iter().take(MOST_RUNNING).filter_map(|one| running(one, micros)).collect()
    });
    PoolDetail { pool, slots, slots_left_out, running }
}

fn is_busy(stage: Stage) -> bool {
    !matches!(stage, Stage::Creating | Stage::Idle)
}

fn slot(view: &PoolView, worker: SlotView, micros: u64, wall: u64) -> Slot {
    let state = match worker.stage {
        Stage::Creating => SlotState::Starting,
        Stage::Idle => SlotState::Idle,
        Stage::Reading | Stage::Info => SlotState::Reading,
        Stage::Running => SlotState::Running,
        Stage::Ending | Stage::Answered => SlotState::Ending,
        Stage::Finishing => SlotState::Finishing,
    };
    let since = match state {
        SlotState::Starting => seconds(wall.saturating_sub(worker.started).saturating_mul(1_000_000)),
        _ => seconds(micros.saturating_sub(worker.since)),
    };
    Slot {
        slot: worker.slot,
        generation: view.generation,
        pid: worker.pid,
        state,
        since: rounded(since),
        requests: worker.requests,
    }
}

fn running((view, board, worker): &(&PoolView, &BoardView, SlotView), micros: u64) -> Option<Running> {
    let RunningView { begun, method, uri, query, script, ids } = board.running(worker.slot)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let uri = if query.is_empty() { text(&uri) } else { format!("{}?{}", text(&uri), text(&query)) };
    Some(Running {
        slot: worker.slot,
        generation: view.generation,
        pid: worker.pid,
        seconds: rounded(seconds(micros.saturating_sub(begun))),
        method: text(&method),
        uri,
        script: text(&script),
        id: ids.map(|ids| ids.request.as_str().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::World;
    use super::*;
    use crate::ipc::ViewPhase;
    use crate::request::Description;

    fn looked(world: &World, shows_requests: bool) -> PoolDetail {
        detail(Pool { name: "www".to_owned(), ..Pool::default() }, &world.views, shows_requests)
    }

    #[test]
    fn requests_are_shown_if_they_may_be() {
        let mut world = World::new();
        let generation = world.show(ViewPhase::Serving);
        let _idle = world.worker(generation, 0);
        let begin = |slot, ago, uri: &[u8]| {
            let worker = world.worker(generation, slot);
            worker.begin(clock::micros() - ago);
            worker.describe(&Description {
                method: b"GET",
                uri,
                query: b"a=\xff\"",
                script: b"/srv/x.php",
                ..Description::default()
            });
            worker.stage(Stage::Running);
        };
        begin(2, 1_000_000, b"/short");
        begin(1, 3_000_000, b"/long\x1b[2J");
        let hidden = looked(&world, false);
        assert_eq!(hidden.running, None);
        let states: Vec<SlotState> = hidden.slots.iter().map(|slot| slot.state).collect();
        assert_eq!(states, [SlotState::Idle, SlotState::Running, SlotState::Running]);
        assert!(hidden.slots[1].since >= 3.0 && hidden.slots[1].requests == 1 && hidden.slots[1].pid == 7);
        let shown = looked(&world, true).running.unwrap();
        assert_eq!(shown.len(), 2);
        assert_eq!((shown[0].uri.as_str(), shown[0].method.as_str()), ("/long\u{1b}[2J?a=\u{fffd}\"", "GET"));
        assert!(shown[0].seconds >= 3.0 && (1.0..2.5).contains(&shown[1].seconds) && shown[1].script == "/srv/x.php");
        let whole = looked(&world, true);
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<PoolDetail>(&text).unwrap(), whole);
    }

    #[test]
    fn a_former_generation_is_told_after_the_present_one() {
        let mut world = World::new();
        let old = world.show(ViewPhase::Draining);
        world.worker(old, 0).begin(1);
        let new = world.show(ViewPhase::Serving);
        let _idle = world.worker(new, 0);
        let states: Vec<SlotState> = looked(&world, false).slots.iter().map(|slot| slot.state).collect();
        assert_eq!(states, [SlotState::Idle, SlotState::Reading]);
    }
}
