//! The generations of groups and pools: what their processes use, and how they are started.
#![forbid(unsafe_code)]

mod access_logs;
mod drain;
mod error;
mod launch;
mod lookup;
mod names;
pub(super) mod own_limits;
mod plans;
mod pool_paths;
mod prepare;
mod reopening;
mod resolve;
mod runtime;
mod runtimes;
mod totals;

pub(super) use access_logs::Opened;
pub(super) use drain::{Drain, DrainState};
pub(super) use error::StartError;
pub(super) use launch::{Launch, Launched};
pub(super) use plans::addresses;
pub(super) use prepare::{Preparation, Preparing};
pub(super) use reopening::{LoggingPool, Reopening};
pub(super) use resolve::{GroupDraft, drafts};
pub(super) use runtime::{AboutPhp, GroupRuntime, PoolRuntime, Runtime};
pub(super) use runtimes::Runtimes;
pub(super) use totals::PoolTotals;
