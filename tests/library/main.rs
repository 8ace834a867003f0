//! The library itself: parsers, writers, and exchanges over socket pairs. These tests start no server and need no
//! PHP.

mod access_format;
mod exchange;
mod fastcgi;
mod memory;
mod plain_ini;
mod request_ids;
mod script_rules;

#[path = "../shared/script/mod.rs"]
mod script;
#[path = "../shared/wire/mod.rs"]
mod wire;
