//! All generations of zygotes and workers: which there are, and what an event leads to.

mod action;
mod claims;
mod components;
mod crashes;
mod delayed_stop;
mod ends;
mod escalation;
mod event;
mod goal;
mod handle;
mod keys;
mod late;
mod members;
mod pool;
mod preparation;
mod refill;
mod renewal;
mod reports;
mod request_limits;
mod scale;
#[cfg(test)]
mod scale_tests;
mod scope;
mod sleep;
mod state;
mod stop;
mod succession;
#[cfg(test)]
mod tests;
mod unit;
#[cfg(test)]
mod unit_tests;
mod units;
mod verdict;
mod view;

pub(crate) use action::{Action, Remark, Stop};
pub(crate) use claims::{Claim, Violation};
pub(crate) use ends::{WorkerEnd, ZygoteEnd, describe};
pub(crate) use event::Event;
pub(crate) use goal::{Goal, Settings};
pub(crate) use keys::{GenerationId, PoolKey, WorkerKey, ZygoteKey};
pub(crate) use members::{Generation, GroupPlan, Phase};
pub(crate) use pool::{Life, PoolPlan, PoolState, Worker};
pub(crate) use renewal::NotRenewable;
pub(crate) use scope::Scope;
pub(crate) use state::Fleet;
pub(crate) use unit::Failure;
pub(crate) use units::Desired;
pub(crate) use view::View;
