//! What supervisor, zygotes and workers say to each other: one enum per direction, whole messages, descriptors beside them.
#![forbid(unsafe_code)]

mod bulletin;
mod channel;
mod messages;
mod spec;
pub mod trace;
mod trust;

pub use bulletin::{Board, Bulletin, Posted};
pub use channel::{Channel, Incoming};
pub use messages::{ToSupervisor, ToWorker, ToZygote, WorkerSays};
pub use spec::{PoolSpec, ZygoteSpec};
pub use trust::Trust;
