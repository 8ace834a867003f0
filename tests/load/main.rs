//! Load, and times under load. Each of these tests runs alone on the machine. They run through one door only.
#![forbid(unsafe_code)]

mod backlog;
mod bench;
mod chaos;
mod crashes;
mod limits;
mod mass;
mod pinning;
mod retirement;
mod scaling;
