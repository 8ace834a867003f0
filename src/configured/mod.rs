//! The configuration together with the command line, the system and php.ini: how it is read, how its messages are printed,
//! and whether PHP can start as the pools' users.
#![forbid(unsafe_code)]

mod announce;
mod commands;
mod options;
mod preflight;
pub mod start_files;
mod users;

pub use announce::{LogError, announce, open_log, say};
pub use commands::{convert, test};
pub use options::load_options;
pub use preflight::load;
pub use users::identity_of;
