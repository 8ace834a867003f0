//! Load, and times under load: each of these tests has the machine for itself. The door makes no difference here.
#![forbid(unsafe_code)]

mod backlog;
mod crashes;
mod limits;
mod mass;
mod pinning;
mod retirement;
mod scaling;
