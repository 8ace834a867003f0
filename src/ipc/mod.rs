//! What supervisor, zygotes and workers send to each other. Each direction has one enum of messages; descriptors
//! travel beside a message.
#![forbid(unsafe_code)]

mod channel;
mod command_results;
pub mod handover;
mod marks;
mod messages;
#[cfg(any(test, feature = "oracles"))]
pub mod oracle;
mod orders;
mod reports;
mod spec;
pub mod trace;
mod trust;

pub use channel::{Channel, Incoming};
pub use command_results::{CommandResults, ResultsReader, ResultsWriter};
pub use marks::MARK;
pub use messages::{FORMER_PROTOCOL, PROTOCOL, ToSupervisor, ToWorker, ToZygote, WorkerSays};
pub use orders::OrderSender;
pub use reports::{Received, ReportReceiver, ReportSender};
pub use spec::{PoolSpec, ZygoteSpec};
pub use trust::Trust;
