//! One system call, one small safe function. With `php`, the only place where `unsafe` may live.

pub mod acl;
pub mod apparmor;
pub mod backlog;
pub mod clock;
#[cfg(feature = "php")]
pub mod door;
pub mod environment;
pub mod failure;
pub mod fd;
pub mod hangup;
pub mod ids;
pub mod limits;
pub mod listen;
pub mod log_file;
pub mod message;
pub mod notify;
pub mod own_memory;
pub mod pidfd;
pub mod pressure;
pub mod process;
pub mod shared;
pub mod signal;
pub mod socket;
pub mod socket_file;
pub mod title;
