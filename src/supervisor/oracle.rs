//! The oracles of parts that are private otherwise. Compiled for the property tests and the fuzz targets only.

pub use super::reload::oracle::state;
pub use super::sockets::oracle::environment;
