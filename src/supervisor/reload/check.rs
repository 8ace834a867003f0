//! The check before a reload, in a child of its own: can the program that is installed now, with the configuration as it is now, take
//! over from the present state?

use crate::cli::Options;
use crate::configured;
use crate::engine::Engine;
use crate::exit::ExitCode;
use crate::host::Host;
use crate::log::{self, messages::reload as messages};
use crate::supervisor::reload::state::State;

/// Returns `ExitCode::Ok` if it would. What is wrong goes to stderr.
#[must_use]
pub(crate) fn run(host: &Host, engine: &mut dyn Engine, options: &Options, raw: std::os::fd::RawFd) -> i32 {
    log::set_level(log::Level::Warning);
    let state = State::read(raw).and_then(|state| state.validate());
    if let Err(e) = state {
        log::say(&messages::state_refused(e));
        return ExitCode::Software.status();
    }
    let load = configured::load_options(host, options);
    match configured::load(engine, host, options, &load, false) {
        Ok(_) => ExitCode::Ok.status(),
        Err(e) => {
            // The lines that say what would be correct have this level.
            log::set_level(log::Level::Notice);
            configured::say(&e.messages.problems());
            ExitCode::Config.status()
        }
    }
}
