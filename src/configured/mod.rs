//! The configuration together with the command line, the system and php.ini: how it is read, how its messages are printed,
//! and whether PHP can start as the pools' users.
#![forbid(unsafe_code)]

mod announce;
mod child;
mod commands;
mod descriptors;
mod file_mark;
mod groups_of;
mod hello;
mod inquiry;
mod introductions;
pub(crate) mod loaded_files;
mod options;
pub(crate) mod own_ini;
mod pool_php;
mod preflight;
mod program_file;
mod programs;
pub(crate) mod start_files;
mod users;

pub(crate) use announce::{LogError, LogOpening, announce, begin_log, open_log, say};
pub(crate) use child::Child;
pub(crate) use commands::{convert, test};
pub(crate) use inquiry::{Inquiry, described, run as answer_inquiry};
pub(crate) use options::load_options;
pub(crate) use pool_php::describe_pool;
pub(crate) use preflight::load;
pub(crate) use programs::{Chosen, Programs};
pub(crate) use users::identity_of;
