//! How many workers a pool is to have: by php-fpm's rules for `pm`, out of how many it has and how many of them are idle.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sys::clock;

/// `pm`, with the numbers that belong to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Policy {
    /// Always `pm.max_children`.
    #[default]
    Static,
    /// So many that some are idle.
    Dynamic(Spare),
    /// As many as connections need; a worker leaves after it has been idle for this time.
    Ondemand(#[serde(with = "clock::as_millis")] Duration),
}

/// The numbers of `pm = dynamic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spare {
    /// `pm.start_servers`.
    pub start: u32,
    /// `pm.min_spare_servers`.
    pub min: u32,
    /// `pm.max_spare_servers`.
    pub max: u32,
    /// `pm.max_spawn_rate`.
    pub max_rate: u32,
}

/// A pool's workers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// Those that wait for a request, and those that are being made.
    pub idle: u32,
    /// All that there are.
    pub total: u32,
    /// `pm.max_children`.
    pub size: u32,
}

/// The state of a pool between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    /// Workers that may be made at the next look.
    rate: u32,
    /// Workers made for connections that waited, since the last look.
    #[serde(default)]
    made: u32,
    /// It was logged that `pm.max_children` is reached, and no worker was made since.
    said: bool,
}

impl Default for Scaling {
    fn default() -> Self {
        Self { rate: 1, made: 0, said: false }
    }
}

/// The result of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is nothing to do.
    Stay,
    /// The pool needs more workers than its limit. True: log and count this.
    Full(bool),
    /// Start that many more. With a rate: log that the pool seems busy.
    Grow(u32, Option<u32>),
    /// That many fewer.
    Shrink(u32),
}

/// From this rate on php-fpm says that the pool seems busy.
const BUSY_RATE: u32 = 8;

impl Scaling {
    /// The look at a dynamic pool that is due every second: fewer idle than `min` make it grow, at a rate that doubles
    /// from second to second; of those above `max`, half go at once, so that what was needed a second ago isn't all gone in the next.
    pub(crate) fn dynamic(&mut self, spare: Spare, at: Count) -> Step {
        self.made = 0;
        if at.idle > spare.max {
            self.rate = 1;
            return Step::Shrink((at.idle - spare.max).div_ceil(2));
        }
        if at.idle >= spare.min {
            self.rate = 1;
            return Step::Stay;
        }
        if at.total >= at.size {
            self.rate = 1;
            return self.full();
        }
        let busy = (self.rate >= BUSY_RATE).then_some(self.rate);
        let more = self.rate.min(spare.min - at.idle).min(at.size - at.total);
        self.said = false;
        self.rate = self.rate.saturating_mul(2).min(spare.max_rate).max(1);
        Step::Grow(more, busy)
    }

    /// That many connections wait for a worker of a dynamic pool. php-fpm would let them wait for the next look; here as many
    /// as `max_rate` between two looks are made at once.
    pub(crate) fn dynamic_demand(&mut self, spare: Spare, waiting: u32, at: Count) -> Step {
        let step = self.ondemand(waiting, at);
        let Step::Grow(more, _) = step else { return step };
        let more = more.min(spare.max_rate.saturating_sub(self.made));
        self.made += more;
        if more == 0 { Step::Stay } else { Step::Grow(more, None) }
    }

    /// That many connections wait for a worker of an ondemand pool.
    pub(crate) fn ondemand(&mut self, waiting: u32, at: Count) -> Step {
        if waiting <= at.idle {
            return Step::Stay;
        }
        if at.total >= at.size {
            return self.full();
        }
        self.said = false;
        Step::Grow((waiting - at.idle).min(at.size - at.total), None)
    }

    fn full(&mut self) -> Step {
        Step::Full(!std::mem::replace(&mut self.said, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARE: Spare = Spare { start: 4, min: 20, max: 30, max_rate: 32 };

    fn count(idle: u32, total: u32) -> Count {
        Count { idle, total, size: 100 }
    }

    #[test]
    fn the_rate_doubles_while_there_are_too_few_and_is_capped() {
        let mut scaling = Scaling::default();
        let grown = |step| if let Step::Grow(n, said) = step { (n, said.is_some()) } else { panic!("{step:?}") };
        let spare = Spare { min: 90, max: 95, ..SPARE };
        let steps: Vec<_> = (0..7).map(|_| grown(scaling.dynamic(spare, count(0, 4)))).collect();
        assert_eq!(steps, [(1, false), (2, false), (4, false), (8, true), (16, true), (32, true), (32, true)]);
        assert_eq!(scaling.dynamic(spare, count(92, 96)), Step::Stay);
        assert_eq!(grown(scaling.dynamic(spare, count(0, 96))), (1, false), "it starts over after a calm second");
    }

    #[test]
    fn it_makes_no_more_than_are_missing_or_may_be() {
        let mut scaling = Scaling { rate: 32, ..Scaling::default() };
        assert_eq!(scaling.dynamic(SPARE, count(15, 60)), Step::Grow(5, Some(32)));
        assert_eq!(scaling.dynamic(SPARE, count(0, 97)), Step::Grow(3, Some(32)));
    }

    #[test]
    fn that_the_pool_is_full_is_said_once_until_it_has_grown_again() {
        let mut scaling = Scaling::default();
        assert_eq!(scaling.dynamic(SPARE, count(0, 100)), Step::Full(true));
        assert_eq!(scaling.dynamic(SPARE, count(3, 100)), Step::Full(false));
        assert_eq!(scaling.dynamic(SPARE, count(3, 99)), Step::Grow(1, None));
        assert_eq!(scaling.dynamic(SPARE, count(0, 100)), Step::Full(true));
    }

    #[test]
    fn those_above_the_most_go_by_halves() {
        let mut scaling = Scaling { rate: 16, ..Scaling::default() };
        let mut idle = 200;
        let mut looks = 0;
        while let Step::Shrink(n) = scaling.dynamic(SPARE, Count { idle, total: idle, size: 300 }) {
            idle -= n;
            looks += 1;
        }
        assert_eq!((idle, looks), (30, 8));
        assert_eq!(scaling.rate, 1);
    }

    #[test]
    fn between_two_looks_those_who_wait_get_their_workers_up_to_the_rate() {
        let mut scaling = Scaling::default();
        assert_eq!(scaling.dynamic_demand(SPARE, 5, count(2, 10)), Step::Grow(3, None));
        assert_eq!(scaling.dynamic_demand(SPARE, 60, count(0, 13)), Step::Grow(29, None));
        assert_eq!(scaling.dynamic_demand(SPARE, 60, count(0, 42)), Step::Stay);
        assert_eq!(scaling.dynamic(SPARE, count(25, 42)), Step::Stay);
        assert_eq!(scaling.dynamic_demand(SPARE, 60, count(0, 95)), Step::Grow(5, None));
        assert_eq!(scaling.dynamic_demand(SPARE, 60, count(0, 100)), Step::Full(true));
    }

    #[test]
    fn on_demand_there_are_as_many_as_wait_and_no_more() {
        let mut scaling = Scaling::default();
        assert_eq!(scaling.ondemand(2, count(0, 0)), Step::Grow(2, None));
        assert_eq!(scaling.ondemand(2, count(2, 2)), Step::Stay);
        assert_eq!(scaling.ondemand(500, count(1, 9)), Step::Grow(91, None));
        assert_eq!(scaling.ondemand(1, count(0, 100)), Step::Full(true));
        assert_eq!(scaling.ondemand(1, count(0, 100)), Step::Full(false));
    }
}
