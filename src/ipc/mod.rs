//! What supervisor, zygotes and workers say to each other: one enum per direction, whole messages, descriptors beside them.
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
