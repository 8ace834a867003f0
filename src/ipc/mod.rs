//! What supervisor, zygotes and workers send to each other. Each direction has one enum of messages; descriptors
//! travel beside a message.
#![forbid(unsafe_code)]

mod base;
mod channel;
mod command_requests;
mod command_results;
mod control_socket;
mod found_memory;
mod group_table;
pub(crate) mod handover;
mod introduction;
mod marks;
mod messages;
mod monitor;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod orders;
mod reports;
pub(crate) mod retained;
mod spec;
pub(crate) mod trace;
mod trust;
mod worker_queues;

pub(crate) use base::{BaseSpec, FromBase, ToBase};
pub(crate) use channel::{Channel, Incoming};
pub(crate) use command_requests::{Request, RequestReader, RequestWriter};
pub(crate) use command_results::{CommandResults, ResultsReader, ResultsWriter};
pub(crate) use control_socket::{ControlAnswer, ControlRequest, GroupAnswer, GroupResult, LONGEST as CONTROL_LONGEST};
pub(crate) use group_table::{GroupRow, GroupTable, GroupTableWriter, read_group_table};
pub(crate) use introduction::Introduction;
pub(crate) use marks::MARK;
pub(crate) use messages::{FORMER_PROTOCOL, PROTOCOL, SPOKEN, ToSupervisor, ToWorker, ToZygote, WorkerSays};
pub(crate) use monitor::{MonitorSpec, PoolView, ToMonitor, ViewPhase};
pub(crate) use orders::OrderSender;
pub(crate) use reports::{Received, ReportReceiver, ReportSender};
pub(crate) use spec::{PoolSpec, ZygoteSpec};
pub(crate) use trust::Trust;
pub(crate) use worker_queues::WorkerQueues;
