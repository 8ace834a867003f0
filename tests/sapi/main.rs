//! The PHP that a script and its client get, through each door and from a PHP in debug mode. The tests in
//! `every_door` also run if the other door is another php-cgi of ours.

mod abandoned;
mod access_log;
mod bounds;
mod client_gone;
mod cut_off;
mod doors;
mod error_header;
mod every_door;
mod extension_end;
mod finish_request;
mod forks;
mod forms;
mod given_up;
mod idle_memory;
mod ini_entries;
mod leftovers;
mod multipart;
mod oracle;
mod pool_settings;
mod realpath_cache;
mod records;
mod request_ini;
mod server_array;
mod uploads;
mod user_ini;
mod warm_up;

#[path = "../shared/script/mod.rs"]
mod script;
#[path = "../shared/wire/mod.rs"]
mod wire;
