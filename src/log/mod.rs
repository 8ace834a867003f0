//! The error log of this process: one line per message, in php-fpm's form, the original patch's, or as JSON.
#![forbid(unsafe_code)]

mod backlog;
mod classic;
mod file;
mod json;
pub mod level;
mod line;
pub mod messages;
mod opening;
mod outlet;
mod setup;
mod sink;
mod state;
mod write;

pub use backlog::Backlog;
pub use file::{append, write_all};
pub use json::{About, BOUND, OfRequest, Told, line as object_line, told_by_worker, told_line};
pub use level::{Format, Level};
pub use messages::Message;
pub use opening::{Opening, begin};
pub use setup::{
    become_worker, descriptor, drain, echo_faults_only, flush, is_behind, keep_stream, lead_stderr, lead_stderr_again,
    never_wait, replace_descriptor, say_by, set_format, set_level, set_request, set_sink, stop_echo, take_over,
    take_unwritten,
};
pub use sink::Sink;
pub use state::take_lost;
pub use write::{
    bytes, format, length, length_of, message, message_of, object, raw, say, slow_heading, stamp_length, takes,
    to_stderr, told_by,
};
