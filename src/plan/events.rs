//! What has happened, as the supervisor keeps it for the monitor: a limited list, in which repeated things of a pool are one entry. Both
//! keep it by the same rules, so that the supervisor tells only what has changed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::overview::{Event, EventKind, Severity};

/// The most events, and the most of one owner: who crashes workers in a loop must not push out what others have to tell.
const MOST: usize = 200;
const MOST_OF_OWNER: usize = 20;
/// The same thing again within this time is counted with the first, in milliseconds.
const TOGETHER: u64 = 10_000;
/// The longest text, in bytes.
const LONGEST: usize = 400;

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Happening {
    /// The start is complete.
    Started,
    /// A reload has begun.
    ReloadBegun,
    /// All groups have followed a reload.
    Reloaded,
    /// Some groups have not; the text says which.
    ReloadedInPart(String),
    /// A reload had no effect, for this reason.
    ReloadRefused(String),
    /// The group has new processes.
    Renewed(String),
    /// The group could not get new processes.
    NotRenewed(String),
    /// `pm.max_children`, which is this, kept a pool from growing.
    LimitReached(u32),
    /// Workers of a pool have crashed.
    Crashed,
    /// Workers of a pool have exceeded `request_terminate_timeout`.
    TimedOut,
    /// The kernel has killed workers of a pool for want of memory.
    OutOfMemory,
    /// Workers of a pool have ended otherwise than they should.
    Ended,
    /// Log lines of this group were dropped.
    LinesDropped(String),
    /// A stop has begun.
    Stopping,
}

/// An event, with what is needed to keep and to tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    id: u64,
    /// Higher than that of each event that was changed before.
    pub(crate) change: u64,
    /// In milliseconds since 1970.
    at: u64,
    /// The pool, or the group.
    owner: Option<String>,
    is_pool: bool,
    happening: Happening,
    /// How many times.
    count: u64,
}

/// The events, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Events {
    kept: VecDeque<Kept>,
    changes: u64,
}

/// Whom an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// All of php-fpm.
    All,
    Group(&'a str),
    Pool(&'a str),
}

impl Events {
    /// Something has happened so many times, at a time in milliseconds since 1970.
    pub(crate) fn note(&mut self, owner: Owner<'_>, happening: Happening, count: u64, at: u64) {
        let (owner, is_pool) = match owner {
            Owner::All => (None, false),
            Owner::Group(name) => (Some(name.to_owned()), false),
            Owner::Pool(name) => (Some(name.to_owned()), true),
        };
        self.changes += 1;
        let change = self.changes;
        let same = |kept: &&mut Kept| {
            // The clock may have been set back.
            let soon = at >= kept.at && at - kept.at < TOGETHER;
            kept.owner == owner && kept.happening == happening && soon
        };
        if let Some(kept) = self.kept.iter_mut().rev().find(same).filter(|_| owner.is_some()) {
            kept.count = kept.count.saturating_add(count);
            kept.change = change;
            return;
        }
        self.push(Kept { id: change, change, at, owner, is_pool, happening, count });
    }

    /// Takes one that the supervisor has told.
    pub(crate) fn take(&mut self, told: Kept) {
        self.changes = self.changes.max(told.change);
        match self.kept.iter_mut().find(|kept| kept.id == told.id) {
            Some(kept) => *kept = told,
            None => self.push(told),
        }
    }

    fn push(&mut self, kept: Kept) {
        let own = |other: &Kept| other.owner == kept.owner;
        if self.kept.iter().filter(|other| own(other)).count() >= MOST_OF_OWNER
            && let Some(oldest) = self.kept.iter().position(own)
        {
            self.kept.remove(oldest);
        }
        if self.kept.len() >= MOST {
            self.kept.pop_front();
        }
        self.kept.push_back(kept);
    }

    /// Those that have changed since, in the order of their changes.
    pub(crate) fn since(&self, change: u64) -> Vec<Kept> {
        let mut changed: Vec<Kept> = self.kept.iter().filter(|kept| kept.change > change).cloned().collect();
        changed.sort_by_key(|kept| kept.change);
        changed
    }

    /// For people, the newest first.
    pub(crate) fn shown(&self) -> Vec<Event> {
        self.kept.iter().rev().map(Kept::shown).collect()
    }

    /// Why the last reload was none or not complete, if that is how it ended.
    pub(crate) fn why_reload_failed(&self) -> Option<String> {
        use Happening::{ReloadRefused, Reloaded, ReloadedInPart};
        self.kept.iter().rev().find_map(|kept| match &kept.happening {
            Reloaded => Some(None),
            ReloadRefused(_) | ReloadedInPart(_) => Some(Some(kept.text())),
            _ => None,
        })?
    }
}

impl Kept {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact")]
    fn shown(&self) -> Event {
        let (kind, severity) = self.happening.kind();
        let pool = self.owner.clone().filter(|_| self.is_pool);
        Event { at: self.at as f64 / 1000.0, kind, severity, pool, text: self.text() }
    }

    fn text(&self) -> String {
        let count = self.count;
        let counted = |one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let mut text = match &self.happening {
            Happening::Started => "php-fpm has started".to_owned(),
            Happening::ReloadBegun => "a reload has begun".to_owned(),
            Happening::Reloaded => "the reload is complete".to_owned(),
            Happening::ReloadedInPart(which) => {
                format!("the reload is complete, but these groups keep what they had: {which}")
            }
            Happening::ReloadRefused(reason) => reason.clone(),
            Happening::Renewed(group) => format!("group {group} has new processes"),
            Happening::NotRenewed(reason) => reason.clone(),
            Happening::LimitReached(limit) => format!("pm.max_children = {limit} was reached"),
            Happening::Crashed => counted("worker crashed", "workers crashed"),
            Happening::TimedOut => {
                counted("worker exceeded request_terminate_timeout", "workers exceeded request_terminate_timeout")
            }
            Happening::OutOfMemory => {
                counted("worker was killed for want of memory", "workers were killed for want of memory")
            }
            Happening::Ended => {
                counted("worker was killed or ended by itself", "workers were killed or ended by themselves")
            }
            Happening::LinesDropped(group) => {
                format!("{} of group {group}", counted("log line was dropped", "log lines were dropped"))
            }
            Happening::Stopping => "php-fpm is stopping".to_owned(),
        };
        let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text
    }
}

impl Happening {
    fn kind(&self) -> (EventKind, Severity) {
        use Severity::{Ok, Warning};
        match self {
            Self::Started => (EventKind::Start, Ok),
            Self::ReloadBegun | Self::Reloaded => (EventKind::Reload, Ok),
            Self::ReloadedInPart(_) | Self::ReloadRefused(_) => (EventKind::Reload, Warning),
            Self::Renewed(_) => (EventKind::Renewal, Ok),
            Self::NotRenewed(_) => (EventKind::Renewal, Warning),
            Self::LimitReached(_) => (EventKind::Limit, Warning),
            Self::Crashed | Self::TimedOut | Self::OutOfMemory | Self::Ended => (EventKind::Exit, Warning),
            Self::LinesDropped(_) => (EventKind::Drop, Warning),
            Self::Stopping => (EventKind::Stop, Ok),
        }
    }

    /// A text of others in it, which may be long.
    pub(crate) fn cut(text: &str) -> String {
        text.chars().take(LONGEST).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(events: &Events) -> Vec<String> {
        events.shown().into_iter().map(|event| event.text).collect()
    }

    #[test]
    fn the_same_thing_again_is_counted_for_a_while() {
        let mut events = Events::default();
        for at in [0, 4_000, 9_999, 10_000] {
            events.note(Owner::Pool("shop"), Happening::Crashed, 1, at);
        }
        events.note(Owner::Pool("www"), Happening::Crashed, 2, 10_001);
        assert_eq!(texts(&events), ["2 workers crashed", "1 worker crashed", "3 workers crashed"]);
        assert_eq!(events.shown()[0].pool.as_deref(), Some("www"));
        events.note(Owner::Group("g"), Happening::LinesDropped("g".to_owned()), 7, 10_002);
        assert_eq!(
            (texts(&events)[0].as_str(), events.shown()[0].pool.clone()),
            ("7 log lines were dropped of group g", None)
        );
        events.note(Owner::Pool("www"), Happening::Crashed, 1, 5_000);
        assert_eq!(texts(&events)[0], "1 worker crashed", "the clock was set back");
    }

    #[test]
    fn a_pool_cannot_push_out_what_others_tell() {
        let mut events = Events::default();
        events.note(Owner::All, Happening::Started, 1, 0);
        for at in 1..1000 {
            events.note(Owner::Pool("evil"), Happening::Crashed, 1, at * TOGETHER);
        }
        assert_eq!((events.kept.len(), texts(&events).last().map(String::as_str)), (21, Some("php-fpm has started")));
        for at in 1..100 {
            events.note(Owner::All, Happening::ReloadBegun, 1, at * TOGETHER);
        }
        assert_eq!(events.kept.len(), 40, "reloads have their own part, too");
        for pool in 0..300 {
            events.note(Owner::Pool(&pool.to_string()), Happening::Ended, 1, 0);
        }
        assert_eq!(events.kept.len(), MOST);
    }

    #[test]
    fn another_process_has_the_same_after_it_was_told_what_has_changed() {
        let (mut here, mut there) = (Events::default(), Events::default());
        let mut told = 0;
        for round in 0..2_000_u64 {
            let pool = (round % 7).to_string();
            let owner = if round % 5 == 0 { Owner::All } else { Owner::Pool(&pool) };
            here.note(owner, if round % 3 == 0 { Happening::Crashed } else { Happening::TimedOut }, 1, round * 1_500);
            if round % 4 == 0 {
                for kept in here.since(told) {
                    told = kept.change;
                    there.take(kept);
                }
                assert_eq!(there, here);
            }
        }
        let text = serde_json::to_string(&here).unwrap();
        assert_eq!(serde_json::from_str::<Events>(&text).unwrap(), here);
    }

    #[test]
    fn a_failed_reload_has_a_reason_until_one_succeeds() {
        let mut events = Events::default();
        assert_eq!(events.why_reload_failed(), None);
        events.note(Owner::All, Happening::ReloadRefused(Happening::cut(&"ä".repeat(1000))), 1, 0);
        events.note(Owner::All, Happening::ReloadBegun, 1, 1);
        assert_eq!(events.why_reload_failed().map(|text| text.len()), Some(LONGEST));
        events.note(Owner::All, Happening::Reloaded, 1, 2);
        assert_eq!(events.why_reload_failed(), None);
    }
}
