//! The check before a reload, in a child of its own: can the program that is installed now, with the configuration as it is now, take
//! over from the present state?

use std::collections::BTreeSet;

use crate::cli::Options;
use crate::config::{self, Config};
use crate::configured;
use crate::engine::Engine;
use crate::exit::ExitCode;
use crate::host::Host;
use crate::log::{self, messages::reload as messages};
use crate::supervisor::reload::changes;
use crate::supervisor::reload::state::State;

/// Returns `ExitCode::Ok` if it would. What is wrong goes to stderr.
#[must_use]
pub(crate) fn run(host: &Host, engine: &mut dyn Engine, options: &Options, raw: std::os::fd::RawFd) -> i32 {
    log::set_level(log::Level::Warning);
    let state = match State::read(raw).and_then(|state| state.validate().map(|()| state)) {
        Ok(state) => state,
        Err(e) => {
            log::say(&messages::state_refused(e));
            return ExitCode::Software.status();
        }
    };
    let load = configured::load_options(host, options);
    match configured::load(engine, host, options, &load, false) {
        Ok(loaded) => {
            ask_name_services(&loaded.config);
            let names = check_names(&state, &loaded.config);
            if names == ExitCode::Ok
                && let Some(answer) = state.answer
                && let Err(e) = changes::write(&state, answer)
            {
                log::say(&messages::changes_not_told(e));
                return ExitCode::Software.status();
            }
            names.status()
        }
        Err(e) => {
            // The lines that say what would be correct have this level.
            log::set_level(log::Level::Notice);
            configured::say(&e.messages.problems());
            ExitCode::Config.status()
        }
    }
}

/// Looks up what the supervisor will look up itself. If a name service does not answer, this check is ended, and the supervisor never
/// waits for that service. An unknown name concerns only its group.
fn ask_name_services(config: &Config) {
    config.pools.iter().for_each(|pool| drop(config::socket_access(pool)));
}

/// Whether each name that is to be reloaded is one of a pool or group that runs or is in the configuration.
fn check_names(state: &State, config: &Config) -> ExitCode {
    let known = known_names(state, config);
    let unknown: Vec<String> =
        state.scope.names().filter(|name| !known.contains(name)).map(|name| format!("'{name}'")).collect();
    if unknown.is_empty() {
        return ExitCode::Ok;
    }
    log::say(&messages::unknown_names(unknown.join(", "), Vec::from_iter(known).join(", ")));
    ExitCode::Usage
}

fn known_names<'a>(state: &'a State, config: &'a Config) -> BTreeSet<&'a str> {
    let running = state.runtimes.iter().flat_map(|runtime| &runtime.groups).map(|group| &group.spec);
    let pools = running.clone().flat_map(|spec| spec.pools.iter().map(|pool| &pool.config)).chain(&config.pools);
    let pools = pools.filter(|pool| pool.status_of.is_none());
    let named = pools.flat_map(|pool| [Some(&pool.name), pool.process_group.as_ref()]).flatten();
    let named = named.chain(config.global.process_group.as_ref()).map(String::as_str);
    running.map(|spec| spec.group.as_str()).chain(named).collect()
}
