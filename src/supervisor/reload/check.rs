//! The check before a reload, in a child of its own: can the program that is installed now, with the configuration as it is now, take
//! over from the present state?

use crate::cli::Options;
use crate::configured;
use crate::engine::Engine;
use crate::exit::ExitCode;
use crate::host::Host;
use crate::log;
use crate::supervisor::reload::state::State;
use crate::sys::{inherited, shared};

/// Returns `ExitCode::Ok` if it would. What is wrong goes to stderr.
#[must_use]
pub fn run(host: &Host, engine: &mut dyn Engine, options: &Options, raw: std::os::fd::RawFd) -> i32 {
    log::set_level(log::Level::Warning);
    let state = inherited::adopt(raw)
        .and_then(shared::content_of)
        .map_err(|e| e.to_string())
        .and_then(|bytes| serde_json::from_slice::<State>(&bytes).map_err(|e| e.to_string()))
        .and_then(|state| state.validate());
    if let Err(e) = state {
        log::error(format!("can't carry on from the running supervisor's state: {e}"));
        return ExitCode::Software.status();
    }
    let load = configured::load_options(host, options);
    match configured::load(engine, host, options, &load, false) {
        Ok(_) => ExitCode::Ok.status(),
        Err(e) => {
            // With what would be right.
            log::set_level(log::Level::Notice);
            configured::say(&e.messages.problems());
            ExitCode::Config.status()
        }
    }
}
