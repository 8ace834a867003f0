//! What supervisor, zygotes and workers say to each other: one enum per direction, whole messages, descriptors beside them.
#![forbid(unsafe_code)]

mod bulletin;
mod channel;
pub mod links;
mod marks;
mod messages;
mod orders;
mod spec;
pub mod trace;
mod trust;
mod voice;

pub use bulletin::{Board, Bulletin, Posted};
pub use channel::{Channel, Incoming};
pub use marks::MARK;
pub use messages::{FORMER_PROTOCOL, PROTOCOL, ToSupervisor, ToWorker, ToZygote, WorkerSays};
pub use orders::Orders;
pub use spec::{PoolSpec, ZygoteSpec};
pub use trust::Trust;
pub use voice::{Heard, Speaker, Voice};
