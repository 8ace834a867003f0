//! All generations of zygotes and workers: which there are, and what an event leads to.

mod action;
mod claims;
mod crashes;
mod delayed_stop;
mod ends;
mod escalation;
mod event;
mod goal;
mod handle;
mod keys;
mod members;
mod refill;
mod reports;
mod request_limits;
mod scale;
#[cfg(test)]
mod scale_tests;
mod sleep;
mod state;
mod stop;
mod succession;
#[cfg(test)]
mod tests;
mod view;

pub use action::{Action, Remark, Stop};
pub use claims::{Claim, Violation};
pub use ends::{WorkerEnd, ZygoteEnd};
pub use event::Event;
pub use goal::{Goal, Settings};
pub use keys::{GenerationId, PoolKey, WorkerKey, ZygoteKey};
pub use members::{Generation, Group, GroupPlan, Life, Phase, PoolPlan, PoolState, Worker, Zygote};
pub use state::Fleet;
pub use view::View;
