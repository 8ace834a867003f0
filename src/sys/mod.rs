//! System calls: one small safe function for each, or an `unsafe` one with a stated contract. Beside `php` and the library's
//! entry points in `door.rs`, this is the only place for `unsafe` code.
//!
//! A doc comment gives the kernel's names (`SCM_RIGHTS`, `PR_SET_PDEATHSIG`, …), also where nix or std hide them, so that a search
//! for a name finds its use.

pub mod accept_queue;
pub mod acl;
pub mod apparmor;
pub mod aside;
pub mod backlog;
pub mod capabilities;
pub mod clock;
pub mod confine;
pub mod directory_changer;
pub mod dispositions;
pub mod environment;
pub mod failure;
pub mod fd;
pub mod hangup;
pub mod helper;
pub mod idle_memory;
pub mod ids;
pub mod inherited;
pub mod limits;
pub mod listen;
pub mod local_time;
pub mod log_file;
mod mappings;
pub mod message;
pub mod named_file;
pub mod notify;
pub mod oom_kills;
pub mod orphan;
pub mod own_memory;
pub mod packets;
pub mod peer_pipe;
pub mod pid_file;
pub mod pidfd;
pub mod prefault;
pub mod pressure;
pub mod private_copy;
pub mod private_memory;
mod proc_file;
pub mod proc_stat;
pub mod process;
pub mod process_limits;
pub mod processor;
pub mod random;
pub mod shared;
pub mod shared_port;
mod sibling;
pub mod signal;
pub mod single_threaded;
pub mod sock_diag;
pub mod socket;
pub mod socket_file;
pub mod startup;
pub mod task_child;
pub mod tcp_info;
pub mod terminal;
#[cfg(test)]
mod test_child;
pub mod title;
pub mod unused_user;
pub mod working_directory;
