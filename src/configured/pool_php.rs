//! `-v`, `-i` and `-m` with `--pool=NAME`: the same about the PHP of a pool, started as the pool's user.
#![forbid(unsafe_code)]

use super::announce::say;
use super::inquiry::{self, Inquiry, Question};
use super::options::load_options;
use super::programs::{Chosen, Programs};
use super::users::identity_of;
use crate::cli::Options;
use crate::config::{self, PoolConfig};
use crate::engine::{Engine, Topic};
use crate::exit::ExitCode;
use crate::host::Host;
use crate::log::{self, messages::pools::groups_unknown, messages::programs::ProgramError, messages::terminal};
use crate::sys::failure::reason;

/// Prints about the PHP of the pool of that name. Returns the exit status.
pub(crate) fn describe_pool(host: &Host, engine: &mut dyn Engine, options: &Options, topic: Topic, name: &str) -> i32 {
    let load = load_options(host, options);
    let path = options.config_path(&host.config_file());
    let loaded = match config::load(&path, &load) {
        Ok(loaded) => loaded,
        Err(e) => {
            say(&e.messages);
            return ExitCode::Config.status();
        }
    };
    let Some(pool) = loaded.config.pools.iter().find(|pool| pool.name == name) else {
        log::say(&terminal::no_such_pool(name, path.display()));
        return ExitCode::Config.status();
    };
    match inquiry_about(pool, &load, options, topic) {
        Ok(inquiry) => {
            let chosen = Programs::new(host, &loaded.config.pools).of_pool(pool);
            ask(host, engine, chosen, inquiry, topic)
        }
        Err(message) => {
            log::say(&message);
            ExitCode::Config.status()
        }
    }
}

fn inquiry_about(
    pool: &PoolConfig,
    load: &config::LoadOptions,
    options: &Options,
    topic: Topic,
) -> Result<Inquiry, log::Message> {
    let account = config::account(pool, load).map_err(|e| e.message())?;
    let identity = identity_of(&account).map_err(|e| groups_unknown(&pool.name, reason(&e)))?;
    let user = identity.filter(|_| load.root).map(|identity| (identity, pool.user.clone().unwrap_or_default()));
    Inquiry::about(pool, user, &options.engine, load.root, Question::Describe(topic)).map_err(|e| e.message())
}

fn ask(
    host: &Host,
    engine: &mut dyn Engine,
    program: Result<Option<Chosen>, ProgramError>,
    mut inquiry: Inquiry,
    topic: Topic,
) -> i32 {
    match program {
        Ok(None) => {
            host.complete(&mut inquiry.engine);
            inquiry::describe(engine, topic, &inquiry)
        }
        Ok(Some(chosen)) => {
            let failed = inquiry::execute(&chosen.program, &inquiry);
            log::say(&terminal::cannot_start_php(failed));
            ExitCode::Software.status()
        }
        Err(e) => {
            log::say(&e.message());
            ExitCode::Config.status()
        }
    }
}
